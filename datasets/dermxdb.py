"""DermXDB: six skin diagnoses with characteristics, drawn by several dermatologists."""

import re
from collections import defaultdict
from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, Split
from datasets.indexer import DatasetIndexer
from datasets.table import read_table

COLUMNS = ("current_filename", "diagnosis")
SECOND = re.compile(r"(labeler\d)2")
"""In v2, labeler12 is labeler1 at a second reading."""


def has_layout(directory: Path) -> bool:
    """Whether the directory holds the metadata and the masks where DermXDB has them."""
    return (directory / "metadata.csv").is_file() and (directory / "masks" / "masks").is_dir()


def detect(directory: Path) -> bool:
    """Whether the directory is DermXDB, not rendered data in its layout."""
    return has_layout(directory) and not (directory / "SYNTHETIC.txt").exists()


def read(directory: Path) -> DatasetIndex:
    """Reads v1 and v2. Images are those in `images/`; without them the masks alone can be measured.

    Images are matched to `metadata.csv` by stem, raters' names and stems part at the first underscore. Where `folds/`
    holds a first fold, as in v2, it is the official split and names the patients.

    Raises:
        ValueError: A table is missing or cannot be read.
    """
    survey = DatasetIndexer(directory)
    table = directory / "metadata.csv"
    rows = [(Path(row["current_filename"]).stem, row["diagnosis"]) for row in read_table(table, COLUMNS)]
    listed = dict(rows)
    images, masks = survey.pictures("images"), _masks(survey)
    survey.left_out += [f"{images[stem]}: no row in metadata.csv" for stem in images if stem not in listed]
    survey.left_out += [f"{stem}: masks without a row in metadata.csv" for stem in masks if stem not in listed]
    pictures: dict[str, Path | None] = dict.fromkeys(listed)
    if images:
        pictures = {stem: path for stem, path in images.items() if stem in listed}
    folds = _first_fold(directory)
    return survey.data_set(
        "dermxdb",
        pictures,
        survey.labels(rows, table),
        masks=[{stem: drawn for stem, drawn in masks.items() if stem in listed}],
        groups={stem: patient for stem, (_, patient) in folds.items()},
        split=lambda stem: folds[stem][0] if stem in folds else None,
    )


def _masks(survey: DatasetIndexer) -> dict[str, list[Mask]]:
    """Masks by stem of their image."""
    found: dict[str, dict[Path, Mask]] = defaultdict(dict)
    files = survey.pictures("masks/masks")
    table = survey.directory / "masks" / "instance_mask_annotations.csv"
    for row in read_table(table, ["image_id", "mask_id", "class_name"]):
        rater, _, stem = row["image_id"].partition("_")
        # Most files of v2 are named by the characteristic and hold all its instances, whatever the table says.
        path = files.get(row["mask_id"]) or files.get(f"{row['image_id']}_{row['class_name']}")
        if path is None:
            survey.left_out.append(f"{row['mask_id']}: listed in {table.name}, but masks/masks has no such file")
            continue
        again = SECOND.fullmatch(rater)
        found[stem][path] = Mask(
            path=path,
            rater=again[1] if again else rater,
            characteristic=row["class_name"],
            reading=2 if again else 1,
        )
    return {stem: list(masks.values()) for stem, masks in found.items()}


def _first_fold(directory: Path) -> dict[str, tuple[Split, str]]:
    """Split and patient by stem."""
    found: dict[str, tuple[Split, str]] = {}
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        table = directory / "folds" / f"metadata_fold_0_{split}.csv"
        if table.is_file():
            for row in read_table(table, ["current_filename", "patient_id"]):
                found[Path(row["current_filename"]).stem] = (split, row["patient_id"])
    return found


DERMXDB = DatasetReader(
    name="dermxdb",
    detect=detect,
    read=read,
    source="Jalaboi et al., DermX: an end-to-end framework for explainable automated dermatological diagnosis, 2023",
    obtain="masks: the authors' repository ralucaj/dermx, CC0; images: on request from SD-260 and DermNetNZ, put into "
    "images/ or named with --image-dir",
)
