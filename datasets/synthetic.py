"""The embedded data set: what `dermsynth` renders, read back by the reader of the layout it is written in."""

from dataclasses import replace
from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, dermxdb

NOTE = "SYNTHETIC.txt"
SHORTCUTS = "shortcut"


def detect(directory: Path) -> bool:
    """Whether the directory says that its images were rendered."""
    return (directory / NOTE).is_file() and dermxdb.has_layout(directory)


def read(directory: Path) -> DatasetIndex:
    """Reads DermXDB's layout, marks the data as synthetic and finds the planted shortcuts.

    Raises:
        ValueError: As the reader of DermXDB.
    """
    data = dermxdb.read(directory)
    marks = {path.stem: Mask(path=path, rater="dermsynth") for path in (directory / SHORTCUTS).glob("*.png")}
    samples = tuple(replace(sample, marked=marks.get(sample.id)) for sample in data.samples)
    return replace(data, layout="dermsynth", samples=samples, synthetic=True)


DERMSYNTH = DatasetReader(
    name="dermsynth",
    detect=detect,
    read=read,
    source="Rendered by datasets/dermsynth, in the layout of DermXDB v1; synthetic",
    obtain="nothing to ask for: `python -m benchmark run` renders it on first use",
)
