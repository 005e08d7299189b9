"""The readers of data sets, one layout per file.

An entry is a constant of type :class:`DatasetReader`. It detects its layout in a directory and loads the index.
Loading an index opens no image. It matches files, labels, raters and groups, and reports what does not fit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:  # --help, which needs `printable`, loads no NumPy
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
Counts: TypeAlias = "NDArray[np.integer[Any]]"
"""Number of masks of each rater that mark each pixel, (R, H, W)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """A mask that one rater drew on one image.

    Several masks of one rater and characteristic are its instances.

    Attributes:
        path: The file.
        rater: Name of the rater.
        characteristic: The characteristic it shows. None for the outline of the whole lesion or object. If an image
            has outlines, its reference at image level uses only them.
        reading: 1, or 2 if the rater saw the image for a second time. References use only first readings.
        marks: Pixel values that count as marked, for color images R + 256 G + 65536 B. None marks values above 127.
        box: The marked rectangle (left, top, right, bottom) in pixels, if a rule defines the mask rather than a file.
            `path` is then the image.
    """

    path: Path
    rater: str
    characteristic: str | None = None
    reading: int = 1
    marks: frozenset[int] | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image with its label, group and masks.

    Attributes:
        id: Unique name within the data set, the stem of the image file.
        image: The image file. None if the data set has masks without images.
        frame: Index of the image in the file, if the file has several.
        diagnosis: Class name. "" if it is unknown.
        group: Patient or lesion. A split keeps the images of a group together. The id if the group is unknown.
        masks: Masks of all raters. May be empty.
        split: Split that the data set publishes. None if there is none.
        marked: Mask of the planted shortcut, for synthetic images.
        attributes: What else tables say of the image, such as age, sex, skin tone or site, by name. No score uses it.
    """

    id: str
    image: Path | None
    frame: int | None = None
    diagnosis: str
    group: str
    masks: tuple[Mask, ...] = ()
    split: Split | None = None
    marked: Mask | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)


def printable(text: str) -> str:
    r"""Escapes what a terminal would act on, and what is not valid Unicode.

    Example:
        >>> printable("a\x1b\udcff")
        'a\\x1b\\udcff'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A reason why a file cannot be used.

    Attributes:
        file: The file.
        what: What is wrong, phrased to follow the name of the file.
        remedy: How to fix it.
    """

    file: Path
    what: str
    remedy: str

    def __str__(self) -> str:
        """Returns one line: file, fault and remedy."""
        return printable(f"{self.file} {self.what}; {self.remedy}")


class BadFileError(ValueError):
    """A file turns out to be unusable when it is opened.

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
        name: Name of the data set, as in paths and tables.
        layout: Name of the reader that loaded it.
        root: The directory.
        samples: The images, sorted by id.
        problems: Problems to fix or exclude before the data can be used.
        left_out: One line for each file or image that is left out, with the reason.
        notes: One line for each decision that a user may want to change, such as a column that nothing reads.
        synthetic: Whether the images are rendered, not photographed.
        pseudonymous: Whether pseudonyms replace the names of images, groups and raters, so that files are not named.
    """

    name: str
    layout: str
    root: Path
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    synthetic: bool = False
    pseudonymous: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The diagnoses that occur, sorted by name."""
        return tuple(sorted({sample.diagnosis for sample in self.samples if sample.diagnosis}))


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetReader:
    """A reader of one directory layout.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        detect: Returns whether a directory has this layout. Looks at names only, so it is fast.
        load: Loads the index. Raises :class:`ValueError` with file and remedy if no index can be built.
        source: Where the layout comes from.
        obtain: Where to get the data, its terms, and the directory to pass to Loupe, in one line.
        redistributable: Whether its license allows anybody to publish pictures of the images. False if that is unknown.
    """

    name: str
    detect: Callable[[Path], bool]
    load: Callable[[Path], DatasetIndex]
    source: str
    obtain: str
    redistributable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregation:
    """A way to combine the masks of several raters into one reference.

    Attributes:
        name: Unique name, as on the command line.
        combine: Takes counts (R, H, W), integer: the number of masks of each of R raters that mark a pixel. Returns
            (H, W), uint8, from 0 (nobody marked anything) to 255 (fully marked).
        formula: The formula, in one line.
        source: Where it comes from.
    """

    name: str
    combine: "Callable[[Counts], NDArray[np.uint8]]"
    formula: str
    source: str
