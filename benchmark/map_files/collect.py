"""Finds the map of each image in a directory or a file."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.map_files import UNNAMED, Arrays, MapReader
from benchmark.phrases import format_count
from benchmark.registry import entries
from datasets.table import read_table

ANY_CLASS = ""
"""The class of a map that is the only one of its image."""

TABLE_SUFFIX = ".csv"
"""Suffix of tables, such as the predictions that `export-maps` writes next to the maps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MapLocation:
    """Where a map is.

    Attributes:
        path: The file.
        name: Name of the array in the file.
        row: Index of the map in the array. None if the array is the map.
        opened: The arrays of a file of several maps, which is opened once. None if the file is the map's own.
    """

    path: Path
    name: str = UNNAMED
    row: int | None = None
    opened: Arrays | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """Names the map in a message."""
        return str(self.path) + (f"[{self.name}]" if self.name else "") + ("" if self.row is None else f"[{self.row}]")


@dataclass(frozen=True, kw_only=True, slots=True)
class MapCollection:
    """The maps of a directory or file.

    Attributes:
        locations: By image and class. :data:`ANY_CLASS` if the files name no class.
        ignored: Files that hold no maps.
    """

    locations: Mapping[str, Mapping[str, MapLocation]]
    ignored: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Collector:
    """Collects locations, and refuses a second map of the same image and class."""

    locations: dict[str, dict[str, MapLocation]] = field(default_factory=dict)

    def add(self, image: str, name: str, location: MapLocation) -> None:
        by_class = self.locations.setdefault(image, {})
        if (first := by_class.setdefault(name, location)) is not location:
            raise UserError(f"{first} and {location} are both a map of {image}; remove one of them")


def collect_maps(path: Path, classes: Collection[str], index: Path | None = None) -> MapCollection:
    """Finds the maps in a directory, by `<image>.<suffix>` or `<class>/<image>.<suffix>`, or in one file.

    A file has one array per image, by its name, or with an index one array of all maps.

    Args:
        path: The directory or file.
        classes: Names of the classes.
        index: CSV file with the column image, and optionally row (from 0; default: the order of the table) and class.

    Raises:
        UserError: There are no maps, two of the same image and class, or a file that is outside of the directory.
    """
    if path.is_dir():
        if index is not None:
            raise UserError(f"--index: {path} is a directory, whose files name the images; give the file of the array")
        return _collect_directory(path, classes)
    if not path.is_file():
        raise UserError(f"{path} does not exist; give a directory of maps or a file")
    if path.suffix.lower() not in readers():
        raise UserError(f"{path} is no file of maps; give one of {', '.join(sorted(readers()))}, or a directory")
    arrays = open_arrays(path)
    if index is not None:
        return _collect_indexed(path, arrays, index, classes)
    if set(arrays) == {UNNAMED}:
        raise UserError(f"{path} has an array without names of images; give a CSV of them with --index")
    return MapCollection(
        locations={name: {ANY_CLASS: MapLocation(path=path, name=name, opened=arrays)} for name in arrays}
    )


def read_location(location: MapLocation) -> NDArray[Any]:
    """Reads the array of a map.

    Raises:
        UserError: The file is damaged or holds something else.
    """
    arrays = open_arrays(location.path) if location.opened is None else location.opened
    try:
        if location.name not in arrays and len(arrays) == 1:  # a file of one map, under any name
            array = arrays[next(iter(arrays))]
        elif location.name in arrays:
            array = arrays[location.name]
        else:
            raise UserError(f"{location.path} has {len(arrays)} arrays; a file named after an image has one map")
    except ValueError as error:
        raise UserError(str(error)) from None
    return array if location.row is None else array[location.row]


def open_arrays(path: Path) -> Arrays:
    """Opens a file of maps.

    Raises:
        UserError: The file is damaged.
    """
    try:
        return readers()[path.suffix.lower()].open(path)
    except ValueError as error:
        raise UserError(str(error)) from None


@cache
def readers() -> dict[str, MapReader]:
    """Returns the reader of each suffix."""
    return {suffix: reader for reader in entries(MapReader).values() for suffix in reader.suffixes}


def _collect_directory(directory: Path, classes: Collection[str]) -> MapCollection:
    collector, ignored = _Collector(), list[Path]()
    for path in _files(directory):
        parents = path.relative_to(directory).parts[:-1]
        if path.suffix.lower() not in readers():
            ignored += [path] if path.suffix.lower() != TABLE_SUFFIX else []
            continue
        if not path.resolve().is_relative_to(directory.resolve()):
            raise UserError(f"{path} is a link to a file outside of the directory; copy the file")
        if not path.is_file():  # reading a pipe would wait forever
            raise UserError(f"{path} is no regular file, or a link to a missing one; remove it")
        if len(parents) > 1 or (parents and parents[0] not in classes):
            raise UserError(
                f"{path} is in a directory of no class; use <image>{path.suffix} or <class>/<image>{path.suffix}, "
                f"with the classes {', '.join(classes)}"
            )
        collector.add(path.stem, parents[0] if parents else ANY_CLASS, MapLocation(path=path))
    if not collector.locations:
        raise UserError(f"{directory} has no maps; they are files of {', '.join(sorted(readers()))}")
    return MapCollection(locations=collector.locations, ignored=tuple(ignored))


def _files(directory: Path) -> Iterator[Path]:
    """Yields all files, sorted. Links to directories are not followed, and hidden files are left out."""
    for path in sorted(directory.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.is_symlink():
                raise UserError(f"{path} is a link to a directory; copy the directory")
            yield from _files(path)
        else:
            yield path


def _collect_indexed(path: Path, arrays: Arrays, index: Path, classes: Collection[str]) -> MapCollection:
    if len(arrays) != 1:
        raise UserError(f"{path} has {len(arrays)} arrays; --index needs a file with one array (N, H, W)")
    name = next(iter(arrays))
    try:
        array, rows = arrays[name], read_table(index, ["image"])
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if array.ndim not in {3, 4}:
        raise UserError(f"{path} has an array of shape {array.shape}, not (N, H, W); save all maps in one")
    collector, opened = _Collector(), {name: array}
    for number, row in enumerate(rows):
        text = row.get("row") or str(number)
        if not text.isdecimal() or int(text) >= len(array):
            raise UserError(f"{index}: {row['image']} is row {text}, but {path} has the rows 0 to {len(array) - 1}")
        of_class = row.get("class", ANY_CLASS)
        if of_class and of_class not in classes:
            raise UserError(f"{index}: {row['image']}: unknown class {of_class!r}; the data has {', '.join(classes)}")
        collector.add(row["image"], of_class, MapLocation(path=path, name=name, row=int(text), opened=opened))
    if "row" not in rows[0] and len(rows) != len(array):
        counts = format_count(len(rows), "row"), format_count(len(array), "map")
        raise UserError(f"{index} has {counts[0]}, but {path} has {counts[1]}; add a column row or fix one")
    return MapCollection(locations=collector.locations)
