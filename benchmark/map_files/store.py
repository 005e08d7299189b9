"""Stores maps as they are scored: one array of half precision, written a few maps at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.map_files.collect import MapLocation, read_location
from benchmark.map_files.values import resize_map, to_map
from benchmark.runtime.parallel import parallel_map
from benchmark.storage.files import atomic_file
from benchmark.storage.hashing import file_digest


@dataclass(kw_only=True, slots=True)
class StoredMaps:
    """Maps as they are scored.

    Attributes:
        path: The `.npy` file, (N, S, S), float16.
        sha256: SHA-256 of the file.
        sizes: Number of maps by their original size.
        not_finite: Maps with a value that is not finite.
        constant: Maps without a range.
    """

    path: Path
    sha256: str = ""
    sizes: Counter[str] = field(default_factory=Counter)
    not_finite: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)


def check_maps(locations: Sequence[MapLocation], negative: str) -> None:
    """Reads maps and drops them, so that a bad one is found before other work.

    Args:
        locations: Where the maps are.
        negative: What negative values mean, see :data:`benchmark.map_files.values.NEGATIVE`.

    Raises:
        UserError: A file is damaged or holds no map.
    """

    def check(location: MapLocation) -> None:
        _read_map(location, negative)

    for _ in parallel_map(check, locations):
        pass


def store_maps(locations: Sequence[MapLocation], path: Path, side: int, negative: str) -> StoredMaps:
    """Reads maps, resizes them to the images, and writes them in order.

    Args:
        locations: Where the maps are.
        path: The `.npy` file to write.
        side: Side of the images.
        negative: What negative values mean, see :data:`benchmark.map_files.values.NEGATIVE`.

    Raises:
        UserError: A file is damaged or holds no map. Nothing is written.
    """
    stored = StoredMaps(path=path)

    def read(location: MapLocation) -> tuple[str, NDArray[np.float16]]:
        values = _read_map(location, negative)
        return f"{values.shape[0]} x {values.shape[1]}", resize_map(values, side)

    with atomic_file(path) as temporary:
        with temporary.open("wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (len(locations), side, side)}
            npy_format.write_array_header_1_0(file, header)
            for location, (size, values) in zip(locations, parallel_map(read, locations), strict=True):
                file.write(values.tobytes())
                stored.sizes[size] += 1
                first = values[0, 0]  # numpy computes in half precision slowly
                if np.isnan(first):  # then all values are NaN
                    stored.not_finite.append(str(location))
                elif (values == first).all():
                    stored.constant.append(str(location))
        stored.sha256 = file_digest(temporary)
    return stored


def _read_map(location: MapLocation, negative: str) -> NDArray[np.float64]:
    try:
        return to_map(read_location(location), negative)
    except ValueError as error:
        raise UserError(f"{location} {error}") from None
