"""NumPy's `.npz`: an archive of arrays by name."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmark.map_files import Arrays, MapReader
from benchmark.map_files.npy import read_stream, unreadable

SUFFIX = ".npy"
FAULTS = (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError, NotImplementedError, KeyError)
"""Exceptions of Python for archives that are damaged, encrypted or of an unknown compression."""


class _Archive(Mapping[str, NDArray[Any]]):
    """Arrays of an archive. A lookup reads and decompresses one of them, within the size that its header declares."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(path)
        names = [name for name in self._zip.namelist() if name.endswith(SUFFIX)]
        self._members = {name.removesuffix(SUFFIX): self._zip.getinfo(name) for name in names}
        if len(self._members) < len(names):
            raise ValueError("two of its arrays have the same name")

    def __getitem__(self, name: str) -> NDArray[Any]:
        member = self._members[name]
        try:
            with self._zip.open(member) as stream:
                return read_stream(stream, member.file_size)
        except FAULTS as error:
            raise unreadable(self._path / name, error, "save it again with numpy.savez") from None

    def __contains__(self, name: object) -> bool:
        return name in self._members  # the default reads the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def open_npz(path: Path) -> Arrays:
    """Opens an archive. Its arrays are read when they are looked up.

    Raises:
        ValueError: The file is no archive, or is damaged.
    """
    try:
        return _Archive(path)
    except FAULTS as error:
        raise unreadable(path, error, "save it again with numpy.savez") from None


NPZ = MapReader(
    name="npz",
    suffixes=frozenset({".npz"}),
    open=open_npz,
    holds="one map, or all maps: one array per image, by its name, or with --index one array (N, H, W)",
)
