"""PH2: dermoscopic images of common nevi, atypical nevi and melanomas with lesion outlines."""

import re
from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, find_root
from datasets.table import read_lines

ROOT = "PH2Dataset"
TABLE = "PH2_dataset.txt"
CODES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
ROW = "|| IMD003 || histology, often empty || 0 || ..."
IMAGE = re.compile(r"IMD\d+")


def detect(directory: Path) -> bool:
    """Returns whether the directory or its subdirectory has the table."""
    return (find_root(directory, ROOT) / TABLE).is_file()


def load(directory: Path) -> DatasetIndex:
    """Loads images, outlines and clinical diagnoses. The images of color regions (`roi`) are ignored.

    Raises:
        ValueError: There are no images, or the table cannot be read or lists none.
    """
    indexer = DatasetIndexer(find_root(directory, ROOT))
    table = indexer.directory / TABLE
    images = indexer.images("PH2 Dataset images/*/*_Dermoscopic_Image")
    codes = indexer.labels(_codes(table), table, images, valid=tuple(CODES), kind="diagnosis")
    return indexer.build_index(
        "ph2",
        images,
        {stem: CODES[code] for stem, code in codes.items()},
        masks=[indexer.masks("PH2 Dataset images/*/*_lesion", "_lesion")],
    )


def _codes(table: Path) -> list[tuple[str, str]]:
    """Returns stem and code of each row. Other lines are the header and the legend."""
    cells = ([cell.strip() for cell in line.split("||")] for line in read_lines(table, f"rows {ROW!r}"))
    codes = [(row[1], row[3] if len(row) > 3 else "") for row in cells if len(row) > 1 and IMAGE.fullmatch(row[1])]
    if not codes:
        raise ValueError(f"{table} has no rows {ROW!r}; fetch it again")
    return codes


PH2 = DatasetReader(
    name="ph2",
    detect=detect,
    load=load,
    source="Mendonca et al., PH2: a dermoscopic image database for research and benchmarking, EMBC 2013",
    obtain=f"on request from the ADDI project at Porto, research only; {ROOT}, or the directory it was unpacked in",
)
