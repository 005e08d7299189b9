"""The embedded data set, rendered by `dermsynth` in the layout of DermXDB."""

from dataclasses import replace
from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, dermxdb

NOTE = "SYNTHETIC.txt"
SHORTCUTS = "shortcut"


def detect(directory: Path) -> bool:
    """Returns whether the directory is marked as rendered."""
    return (directory / NOTE).is_file() and dermxdb.has_layout(directory)


def load(directory: Path) -> DatasetIndex:
    """Loads the layout of DermXDB, marks the data as synthetic and finds the planted shortcuts.

    Raises:
        ValueError: As for the reader of DermXDB.
    """
    data = dermxdb.load(directory)
    marks = {path.stem: Mask(path=path, rater="dermsynth") for path in (directory / SHORTCUTS).glob("*.png")}
    samples = tuple(replace(sample, marked=marks.get(sample.id)) for sample in data.samples)
    return replace(data, layout="dermsynth", samples=samples, synthetic=True)


DERMSYNTH = DatasetReader(
    name="dermsynth",
    detect=detect,
    load=load,
    source="Rendered by datasets/dermsynth, in the layout of DermXDB v1; synthetic",
    obtain="no download: `python -m benchmark run` renders it on first use",
    redistributable=True,
)
