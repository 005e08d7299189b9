"""Memory-mapped arrays, of which only a few rows are in memory at a time."""

import mmap
import tempfile
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SHARED_MODES = frozenset({"r", "r+", "w+"})
"""Modes in which the content of a page is that of the file, so that a page can be read again."""


def release_pages(array: NDArray[np.generic]) -> None:
    """Gives the pages of a memory-mapped array back to the system. They are read again when they are needed.

    The system would take them back when memory is short. Until then, they count as memory of the process. Does nothing
    for other arrays, and on other systems than Linux.
    """
    if isinstance(array, np.memmap) and array.mode in SHARED_MODES and hasattr(mmap, "MADV_DONTNEED"):
        array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]  # noqa: SLF001 - numpy has no other name


def collect_maps(maps: Iterable[NDArray[np.floating]], shape: tuple[int, int, int]) -> NDArray[np.float16]:
    """Returns maps (N, H, W) in half precision, in a temporary file that is gone when the array is."""
    if not shape[0]:  # an empty file cannot be mapped
        return np.zeros(shape, dtype=np.float16)
    with tempfile.TemporaryFile() as file:
        collected = np.memmap(file, dtype=np.float16, mode="w+", shape=shape)
    for index, values in enumerate(maps):
        collected[index] = values
        release_pages(collected)
    return collected
