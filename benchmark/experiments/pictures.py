"""The pictures of test images that a run publishes, where the license of the images allows it or the user says so."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.dataset import ImageDataset
from benchmark.experiments.gallery import write_gallery
from benchmark.experiments.job import Job
from benchmark.experiments.reliance_sheet import write_reliance_sheet
from benchmark.experiments.sheets import remove_sheets, select_examples, write_data_sheet, write_map_sheets
from benchmark.leaderboard.build import DATA_FIGURE
from benchmark.leaderboard.gallery.load import GALLERY_DIR
from benchmark.registry import entries
from datasets import DatasetReader

GALLERY_IMAGES = 6


def may_publish(data: ImageDataset, choice: bool | None) -> bool:  # noqa: FBT001 - three values, not a switch
    """Whether pictures of a data set are published: by the user's choice, or else by the license of its layout."""
    if choice is not None:
        return choice
    reader = entries(DatasetReader).get(data.layout)
    return reader is not None and reader.redistributable


def write_pictures(jobs: Sequence[Job], directory: Path) -> None:
    """Writes the sheets of maps, of reliance and of test images, and the gallery."""
    data = jobs[0].data
    write_map_sheets(jobs, directory)
    write_reliance_sheet(jobs, directory)
    write_data_sheet(data, directory / DATA_FIGURE)
    write_gallery(jobs, select_examples(data, GALLERY_IMAGES), directory / GALLERY_DIR)


def remove_pictures(directory: Path) -> None:
    """Removes the pictures of earlier runs."""
    remove_sheets(directory)
    (directory / DATA_FIGURE).unlink(missing_ok=True)
    if not (directory / GALLERY_DIR).is_symlink():
        shutil.rmtree(directory / GALLERY_DIR, ignore_errors=True)


def has_pictures(directory: Path) -> bool:
    """Whether there is the sheet of test images, which every run with pictures writes, or a gallery."""
    return (directory / DATA_FIGURE).is_file() or (directory / GALLERY_DIR).is_dir()
