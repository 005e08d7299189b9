"""The data sets, one layout per file.

An entry is a constant of type :class:`DatasetReader` that recognizes a directory by its look and reads the index of
it. Reading an index opens no picture: it matches files, labels, raters and groups, and says what does not fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
Counts = NDArray[np.integer[Any]]
"""How many masks of each rater mark each pixel, (R, H, W)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """What one rater drew on one image, in one file. Several of a rater and characteristic are instances of it.

    Attributes:
        path: The file.
        rater: Who drew it.
        characteristic: What was drawn; None for the outline of the whole lesion or object. Where an image has
            outlines, they alone make its reference at image level.
        reading: 2 for what a rater drew when he saw the image again; only first readings make references.
        marks: Pixel values that mark, of color pictures R + 256 G + 65536 B; None marks what is brighter than half.
        box: The marked rectangle (left, top, right, bottom) in pixels, where a rule rather than a file gives the
            mask; `path` is then the image.
    """

    path: Path
    rater: str
    characteristic: str | None = None
    reading: int = 1
    marks: frozenset[int] | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image with what is known about it.

    Attributes:
        id: Unique name within the data set, the stem of the image file.
        image: The file with the image; None where masks come without images.
        frame: Number of the image within the file, where a file holds many.
        diagnosis: Class name; "" where it is not known.
        group: Images of one group (patient, lesion) never part in a split; the id where nothing is known.
        masks: What the raters drew; empty where nobody drew.
        split: Where the data set publishes a split, else None.
        marked: Mask of a planted shortcut in the image, for synthetic data.
    """

    id: str
    image: Path | None
    frame: int | None = None
    diagnosis: str
    group: str
    masks: tuple[Mask, ...] = ()
    split: Split | None = None
    marked: Mask | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a file cannot be used.

    Attributes:
        file: The file.
        what: What is wrong, to be read after the file's name.
        remedy: What to do about it.
    """

    file: Path
    what: str
    remedy: str

    def __str__(self) -> str:
        """One line: file, fault, remedy."""
        return f"{self.file} {self.what}; {self.remedy}"


class BadFileError(ValueError):
    """A file that cannot be used, found when it was opened.

    Attributes:
        problem: File, fault and remedy.
    """

    def __init__(self, file: Path, what: str, remedy: str) -> None:
        self.problem = Problem(file=file, what=what, remedy=remedy)
        super().__init__(str(self.problem))


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetIndex:
    """The index of a data set.

    Attributes:
        name: Name of the data set, as it appears in paths and tables.
        layout: Name of the layout that read it.
        root: The directory.
        samples: The images, sorted by id.
        problems: What has to be mended, or left out on purpose, before the data can be used.
        left_out: One line for each thing that was left out, with the file's name and the reason.
        synthetic: Whether the images were rendered rather than photographed.
    """

    name: str
    layout: str
    root: Path
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    left_out: tuple[str, ...] = ()
    synthetic: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The diagnoses that occur, sorted by name."""
        return tuple(sorted({sample.diagnosis for sample in self.samples if sample.diagnosis}))


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetReader:
    """A way to lay out a data set in a directory.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        detect: Whether a directory looks like this layout. Looks at names only, is cheap.
        read: Reads the index. Raises :class:`ValueError`, naming file and remedy, for what no index can be made of.
        source: Where the layout comes from.
        obtain: Where to ask for the data, under which terms, and which directory to point Loupe at; one line.
    """

    name: str
    detect: Callable[[Path], bool]
    read: Callable[[Path], DatasetIndex]
    source: str
    obtain: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregation:
    """A way to make one reference of what several raters drew.

    Attributes:
        name: Unique name, as on the command line.
        merge: From counts (R, H, W), integers, of the masks of each of the R raters that mark a pixel, to full marks
            of 255 and less, (H, W), uint8; zero where nobody marked anything.
        formula: What it computes, in one line.
        source: Where it comes from.
    """

    name: str
    merge: Callable[[Counts], NDArray[np.uint8]]
    formula: str
    source: str
