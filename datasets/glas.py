"""GlaS: glands of the colon, benign or malignant, each outlined."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, inner
from datasets.table import read_table

FOLDER = "Warwick QU Dataset (Released 2016_07_08)"
GLANDS = frozenset(range(1, 256))
"""A mask numbers the glands of its image; 0 is what lies between them."""


def detect(directory: Path) -> bool:
    """Whether the directory, or the one in it, has the grades and annotated images."""
    root = inner(directory, FOLDER)
    return (root / "Grade.csv").is_file() and any(root.glob("*_anno.bmp"))


def read(directory: Path) -> DatasetIndex:
    """Reads the training part and both test parts. A patient is a group, though the official split may part it.

    Raises:
        ValueError: There are no images, or the grades cannot be read.
    """
    survey = DatasetIndexer(inner(directory, FOLDER))
    table = survey.directory / "Grade.csv"
    rows = read_table(table, ["name", "patient ID", "grade (GlaS)"])
    grades = ((row["name"], row["grade (GlaS)"]) for row in rows)
    return survey.data_set(
        "glas",
        survey.pictures(".", but="_anno"),
        survey.labels(grades, table, known=("benign", "malignant")),
        masks=[survey.masks(".", "_anno", marks=GLANDS)],
        groups={row["name"]: row["patient ID"] for row in rows},
        split=lambda stem: "train" if stem.startswith("train_") else "test",
    )


GLAS = DatasetReader(
    name="glas",
    detect=detect,
    read=read,
    source="Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge contest, "
    "Medical Image Analysis 35, 2017",
    obtain=f"the challenge's page at Warwick, research only; the directory '{FOLDER}', or the one it was unpacked in",
)
