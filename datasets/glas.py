"""GlaS: glands of the colon, benign or malignant, each outlined."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, find_root
from datasets.table import read_table

ROOT = "Warwick QU Dataset (Released 2016_07_08)"
GLANDS = frozenset(range(1, 256))
"""A mask numbers the glands of its image from 1. 0 is the background."""


def detect(directory: Path) -> bool:
    """Returns whether the directory or its subdirectory has the grades and annotated images."""
    root = find_root(directory, ROOT)
    return (root / "Grade.csv").is_file() and any(root.glob("*_anno.bmp"))


def load(directory: Path) -> DatasetIndex:
    """Loads the training part and both test parts. Groups are patients, but the official split may divide them.

    Raises:
        ValueError: There are no images, or the grades cannot be read.
    """
    indexer = DatasetIndexer(find_root(directory, ROOT))
    table = indexer.directory / "Grade.csv"
    rows = read_table(table, ["name", "patient ID", "grade (GlaS)"])
    grades = ((row["name"], row["grade (GlaS)"]) for row in rows)
    patients = ((row["name"], row["patient ID"]) for row in rows)
    images = indexer.images(".", skip="_anno")
    return indexer.build_index(
        "glas",
        images,
        indexer.labels(grades, table, images, valid=("benign", "malignant")),
        masks=[indexer.masks(".", "_anno", marks=GLANDS)],
        groups=indexer.labels(patients, table, images, kind="patient"),
        split=lambda stem: "train" if stem.startswith("train_") else "test",
    )


GLAS = DatasetReader(
    name="glas",
    detect=detect,
    load=load,
    source="Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge contest, "
    "Medical Image Analysis 35, 2017",
    obtain=f"the challenge's page at Warwick, research only; the directory '{ROOT}', or the one it was unpacked in",
)
