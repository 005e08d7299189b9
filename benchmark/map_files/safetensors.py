"""Safetensors: arrays by name, without any code."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from benchmark.map_files import Arrays, MapReader
from benchmark.map_files.npy import unreadable

FAULTS = (SafetensorError, OSError, ValueError, TypeError, AttributeError, KeyError)
REMEDY = "save it again as float32"


class _Tensors(Mapping[str, NDArray[Any]]):
    """Arrays of a file. A lookup reads one of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = safe_open(path, framework="numpy")
        self._names = tuple(self._file.keys())

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        try:
            array: NDArray[Any] = self._file.get_tensor(name)
        except FAULTS as error:  # bfloat16, which NumPy lacks
            raise unreadable(self._path / name, error, REMEDY) from None
        return array

    def __contains__(self, name: object) -> bool:
        return name in self._names  # the default reads the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def open_safetensors(path: Path) -> Arrays:
    """Opens a file. Its arrays are read when they are looked up.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        return _Tensors(path)
    except FAULTS as error:
        raise unreadable(path, error, REMEDY) from None


SAFETENSORS = MapReader(
    name="safetensors",
    suffixes=frozenset({".safetensors"}),
    open=open_safetensors,
    holds="one map, or all maps: one array per image, by its name, or with --index one array (N, H, W)",
)
