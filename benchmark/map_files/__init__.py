"""Saliency maps from elsewhere: readers, one kind of file per module.

An entry is a constant of type :class:`MapReader`. It opens a file and returns the arrays in it by name. What the arrays
mean, and which of them fit the images, is decided in :mod:`benchmark.map_files.collect`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

MAX_VALUES = 2**26
"""Maximum number of values of one map. A small file can declare or decompress to more than the memory holds."""
UNNAMED = ""
"""Name of the array of a file that holds one array without a name."""

Arrays = Mapping[str, NDArray[Any]]
"""Arrays of a file by name. Looking one up may read it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MapReader:
    """A kind of file that holds maps.

    Attributes:
        name: Unique name.
        suffixes: Suffixes of such files, in lower case with the dot.
        open: Opens a file. It raises a ValueError of one line for a file that it cannot read, then or at the lookup.
        holds: What such a file holds, for lists and documentation.
    """

    name: str
    suffixes: frozenset[str]
    open: Callable[[Path], Arrays]
    holds: str
