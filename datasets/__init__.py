"""The data sets, one layout per file.

An entry is a constant of type :class:`Layout` that recognises a folder by its look and reads the index of
it. Reading an index opens no image: it matches files, labels, raters and groups, and says what it left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """One mask file. Several of the same rater and characteristic are instances of it."""

    path: Path
    rater: str
    characteristic: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One image with what is known about it.

    Attributes:
        id: Unique name within the data set, the stem of the image file.
        image: The image file.
        diagnosis: Class name.
        group: Images of one group (patient, lesion) never part in a split; the id where nothing is known.
        masks: What the raters drew; empty where nobody drew.
        split: "train" or "test" where the data set publishes a split, else None.
        marked: Mask file of a planted shortcut in the image, for synthetic data.
    """

    id: str
    image: Path
    diagnosis: str
    group: str
    masks: tuple[Mask, ...] = ()
    split: str | None = None
    marked: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """The index of a data set.

    Attributes:
        name: Name of the data set, as it appears in paths and tables.
        layout: Name of the layout that read it.
        root: The folder.
        cases: The images, sorted by id.
        synthetic: Whether the images were rendered rather than photographed.
        left_out: One line for each thing that was left out, with the file's name and the reason.
    """

    name: str
    layout: str
    root: Path
    cases: tuple[Case, ...]
    synthetic: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The diagnoses that occur, sorted by name."""
        return tuple(sorted({case.diagnosis for case in self.cases}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A way to lay out a data set in a folder.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        recognise: Whether a folder looks like this layout. Looks at names only, is cheap.
        read: Reads the index. Raises :class:`ValueError`, naming file and remedy, for what cannot be used.
        source: Where the layout comes from.
    """

    name: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path], DataSet]
    source: str
