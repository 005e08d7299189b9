"""The output directory, in the layout of DermXDB v1 with the folds of v2."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.dermsynth.fields import Region
from datasets.dermsynth.plan import Case

NAME = "dermsynth"
IMAGES = Path("images")
MASKS = Path("masks", "masks")
SHORTCUTS = Path("shortcut")
FOLDS = Path("folds")
SPLITS = ("train", "test")


def create_directories(directory: Path) -> None:
    """Creates the directories.

    Raises:
        ValueError: The directory is not empty.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory} is not empty; render into a new directory")
    for name in (IMAGES, MASKS, SHORTCUTS, FOLDS):
        (directory / name).mkdir(parents=True)


def write_png(path: Path, pixels: NDArray[np.uint8] | Region) -> None:
    """Writes RGB (H, W, 3), or a mask (H, W) as 0 and 255. The bytes depend only on the pixels and on zlib."""
    levels = pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint8) * np.uint8(255)
    # The fastest level that does not make files larger: photographs have noise in all low bits.
    Image.fromarray(levels).save(path, format="PNG", compress_level=3)


def write_masks(
    directory: Path, stem: str, drawings: dict[str, list[tuple[str, Region]]]
) -> list[tuple[str, str, str]]:
    """Writes the masks of an image and returns their rows: image_id, mask_id, class_name."""
    rows = []
    for rater, masks in drawings.items():
        for index, (characteristic, mask) in enumerate(masks):
            image_id = f"{rater}_{stem}"
            mask_id = f"{image_id}_{index:05d}"
            write_png(directory / MASKS / f"{mask_id}.png", mask)
            rows.append((image_id, mask_id, characteristic))
    return rows


def write_tables(directory: Path, cases: tuple[Case, ...], masks: list[tuple[str, str, str]]) -> None:
    """Writes the three kinds of tables in the dialects of DermXDB."""
    metadata = [(f"{case.stem}.png", NAME, case.diagnosis, f"{case.stem}.jpeg") for case in cases]
    people = [(case.patient.tone, case.patient.age) for case in cases]
    header = "original_filename", "dataset", "diagnosis", "current_filename"
    rows = [(*header, "skin_tone", "age"), *((*row, *person) for row, person in zip(metadata, people, strict=True))]
    _write(directory / "metadata.csv", rows, delimiter=";", newline="\r\n")
    _write(directory / "masks" / "instance_mask_annotations.csv", [("image_id", "mask_id", "class_name"), *masks])
    for split in SPLITS:
        # The unnamed first column is the index of the row, as in v2.
        fold = [
            (str(index), *row, case.patient.name)
            for index, (row, case) in enumerate(zip(metadata, cases, strict=True))
            if case.split == split
        ]
        _write(directory / FOLDS / f"metadata_fold_0_{split}.csv", [("", *header, "patient_id"), *fold])


def _write(path: Path, rows: Sequence[tuple[str, ...]], *, delimiter: str = ",", newline: str = "\n") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=newline).writerows(rows)


def write_note(directory: Path, settings: str) -> None:
    """Writes the file that declares the images as synthetic."""
    text = (
        "SYNTHETIC. These images were rendered by Loupe's dermsynth; they are no photographs of patients. The masks "
        "are the renderer's own outlines, distorted as human raters would, and `shortcut` holds the ink marks that "
        "were planted. Nothing measured here says anything about patients. " + settings + "\n"
    )
    (directory / "SYNTHETIC.txt").write_bytes(text.encode())
