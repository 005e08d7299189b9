"""DermXDB: images of six skin diagnoses, with masks of characteristics by several dermatologists."""

import re
from collections import defaultdict
from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, Split
from datasets.indexer import DatasetIndexer
from datasets.names import NameIndex
from datasets.table import read_table

COLUMNS = ("current_filename", "diagnosis")
ATTRIBUTES = ("skin_tone", "age", "dataset")
SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
SECOND_READING = re.compile(r"(labeler\d)2")
"""In v2, labeler12 is the second reading of labeler1."""


def has_layout(directory: Path) -> bool:
    """Returns whether the directory has the metadata and the masks of DermXDB."""
    return (directory / "metadata.csv").is_file() and (directory / "masks" / "masks").is_dir()


def detect(directory: Path) -> bool:
    """Returns whether the directory is DermXDB and not rendered data in its layout."""
    return has_layout(directory) and not (directory / "SYNTHETIC.txt").exists()


def load(directory: Path) -> DatasetIndex:
    """Loads v1 and v2. The images are in `images/`. Without them, only the masks can be scored.

    Images match the rows of `metadata.csv` by stem. In file names of masks, the first underscore separates rater and
    stem. If `folds/` has a first fold, as in v2, it is the official split and lists the patients.

    Raises:
        ValueError: A table is missing or cannot be read.
    """
    indexer = DatasetIndexer(directory)
    table = directory / "metadata.csv"
    rows = [(_stem(row), row["diagnosis"]) for row in read_table(table, COLUMNS)]
    files, masks = indexer.images("images"), _masks(indexer)
    stems = NameIndex(files)
    listed = {stems.find(name) or name: diagnosis for name, diagnosis in rows}
    indexer.left_out += [f"{files[stem]}: no row in metadata.csv" for stem in files if stem not in listed]
    indexer.left_out += [f"{stem}: masks without a row in metadata.csv" for stem in masks if stem not in listed]
    images: dict[str, Path | None] = dict.fromkeys(listed)
    if files:
        images = {stem: path for stem, path in files.items() if stem in listed}
    patients, assignments = _first_fold(directory)
    lists = indexer.labels(assignments, directory / "folds", images, kind="split")
    sides = {stem: SPLITS[name] for stem, name in lists.items()}
    attributes = indexer.attributes(table, "current_filename", images, names=ATTRIBUTES)
    return indexer.build_index(
        "dermxdb",
        images,
        indexer.labels(rows, table, images),
        masks=[{stem: drawn for stem, drawn in masks.items() if stem in listed}],
        groups=indexer.labels(patients, directory / "folds", images, kind="patient"),
        attributes={stem: values for stem, values in attributes.items() if stem in listed},
        split=sides.get,
    )


def _masks(indexer: DatasetIndexer) -> dict[str, list[Mask]]:
    """Returns the masks by the stem of their image."""
    masks: dict[str, dict[Path, Mask]] = defaultdict(dict)
    files = indexer.images("masks/masks")
    table = indexer.directory / "masks" / "instance_mask_annotations.csv"
    for row in read_table(table, ["image_id", "mask_id", "class_name"]):
        rater, _, stem = row["image_id"].partition("_")
        # Most files of v2 have the characteristic in their name and contain all its instances, despite the table.
        path = files.get(row["mask_id"]) or files.get(f"{row['image_id']}_{row['class_name']}")
        if path is None:
            indexer.left_out.append(f"{row['mask_id']}: listed in {table.name}, but masks/masks has no such file")
            continue
        second = SECOND_READING.fullmatch(rater)
        masks[stem][path] = Mask(
            path=path,
            rater=second[1] if second else rater,
            characteristic=row["class_name"],
            reading=2 if second else 1,
        )
    return {stem: list(by_path.values()) for stem, by_path in masks.items()}


def _first_fold(directory: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns pairs of stem and patient, and pairs of stem and split."""
    patients: list[tuple[str, str]] = []
    assignments: list[tuple[str, str]] = []
    for split in SPLITS:
        table = directory / "folds" / f"metadata_fold_0_{split}.csv"
        if table.is_file():
            rows = read_table(table, ["current_filename", "patient_id"])
            patients += [(_stem(row), row["patient_id"]) for row in rows]
            assignments += [(_stem(row), split) for row in rows]
    return patients, assignments


def _stem(row: dict[str, str]) -> str:
    return Path(row["current_filename"]).stem


DERMXDB = DatasetReader(
    name="dermxdb",
    detect=detect,
    load=load,
    source="Jalaboi et al., DermX: an end-to-end framework for explainable automated dermatological diagnosis, 2023",
    obtain="masks: the authors' repository ralucaj/dermx, CC0; images: on request from SD-260 and DermNetNZ, put into "
    "images/ or named with --image-dir",
)
