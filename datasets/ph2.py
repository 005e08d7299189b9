"""PH2: dermoscopic images of common nevi, atypical nevi and melanomas with lesion outlines."""

import re
from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, inner
from datasets.table import read_lines

FOLDER = "PH2Dataset"
TABLE = "PH2_dataset.txt"
CODES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
ROW = "|| IMD003 || histology, often empty || 0 || ..."
IMAGE = re.compile(r"IMD\d+")


def detect(directory: Path) -> bool:
    """Whether the directory, or the one in it, has the table."""
    return (inner(directory, FOLDER) / TABLE).is_file()


def read(directory: Path) -> DatasetIndex:
    """Reads images, outlines and clinical diagnoses. The pictures of color regions (`roi`) are left aside.

    Raises:
        ValueError: There are no images, or the table cannot be read or names none.
    """
    survey = DatasetIndexer(inner(directory, FOLDER))
    table = survey.directory / TABLE
    found = survey.labels(_codes(table), table, known=tuple(CODES), what="diagnosis")
    return survey.data_set(
        "ph2",
        survey.pictures("PH2 Dataset images/*/*_Dermoscopic_Image"),
        {stem: CODES[code] for stem, code in found.items()},
        masks=[survey.masks("PH2 Dataset images/*/*_lesion", "_lesion")],
    )


def _codes(table: Path) -> list[tuple[str, str]]:
    """Stem and code of each row; other lines are header and legend."""
    cells = ([cell.strip() for cell in line.split("||")] for line in read_lines(table, f"rows {ROW!r}"))
    found = [(row[1], row[3] if len(row) > 3 else "") for row in cells if len(row) > 1 and IMAGE.fullmatch(row[1])]
    if not found:
        raise ValueError(f"{table} has no rows {ROW!r}; fetch it again")
    return found


PH2 = DatasetReader(
    name="ph2",
    detect=detect,
    read=read,
    source="Mendonca et al., PH2: a dermoscopic image database for research and benchmarking, EMBC 2013",
    obtain=f"on request from the ADDI project at Porto, research only; {FOLDER}, or the directory it was unpacked in",
)
