"""The embedded data set: what `dermsynth` renders, read back by the reader of the layout it is written in."""

from dataclasses import replace
from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, dermxdb

NOTE = "SYNTHETIC.txt"
SHORTCUTS = "shortcut"


def detect(folder: Path) -> bool:
    """Whether the folder says that its images were rendered."""
    return (folder / NOTE).is_file() and dermxdb.has_layout(folder)


def read(folder: Path) -> DatasetIndex:
    """Reads DermXDB's layout, marks the data as synthetic and finds the planted shortcuts.

    Raises:
        ValueError: As the reader of DermXDB.
    """
    data = dermxdb.read(folder)
    marks = {path.stem: Mask(path=path, rater="dermsynth") for path in (folder / SHORTCUTS).glob("*.png")}
    cases = tuple(replace(case, marked=marks.get(case.id)) for case in data.cases)
    return replace(data, layout="dermsynth", cases=cases, synthetic=True)


DERMSYNTH = DatasetReader(
    name="dermsynth",
    detect=detect,
    read=read,
    source="Rendered by datasets/dermsynth, in the layout of DermXDB v1; synthetic",
    obtain="nothing to ask for: `python -m benchmark run` renders it on first use",
)
