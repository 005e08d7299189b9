"""Reading HDF5 files from outside. Only values in the file itself are read, and their size is checked first."""

import math
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets import BadFileError
from datasets.files import require_regular

IMAGES = "x"
MAX_FRAMES = 1_000_000
MAX_FRAME_BYTES = 50_000_000
"""Limit of an image and of a compressed block of images. A file of a few KB can expand to any size."""


def read_labels(path: Path, key: str, count: int) -> NDArray[np.bool_]:
    """Reads one label for each row, (count,), that is 0 or 1.

    Args:
        path: The file.
        key: Name of the labels in the file. Axes of length one are dropped.
        count: Expected number of labels.

    Raises:
        ValueError: The file is damaged, lacks the labels, has another number of them, or has other values.
    """
    stored = _open(path, key)
    if stored.shape[:1] != (count,) or stored.size != count:
        raise ValueError(f"{path} holds {key!r} of shape {stored.shape} for {count} rows; fetch it again")
    if stored.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {key!r} of type {stored.dtype}; labels must be the numbers 0 and 1")
    try:
        values = np.asarray(stored).reshape(count)
    except OSError as error:
        raise BadFileError(path, f"is damaged ({error})", "fetch it again") from None
    wrong = values[(values != 0) & (values != 1)]
    if len(wrong):
        raise ValueError(f"{path} holds the label {wrong[0]} in {key!r}; labels must be 0 or 1")
    return np.asarray(values == 1)


@lru_cache(maxsize=8)
def open_frames(path: Path) -> h5py.Dataset:
    """Opens the images of a file. It stays open, because reopening it per image costs more than reading.

    Raises:
        ValueError: The file is not an HDF5 file of RGB images, or they are too large or too many.
    """
    frames = _open(path, IMAGES)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise BadFileError(path, f"holds in {IMAGES!r} no RGB images (N, H, W, 3) of 8 bits", "fetch it again")
    if len(frames) > MAX_FRAMES or math.prod(frames.shape[1:]) > MAX_FRAME_BYTES:
        raise BadFileError(path, f"holds images of shape {frames.shape}", "make them smaller or fewer")
    return frames


def count_frames(path: Path) -> int:
    """Counts the images in a file. Raises as :func:`open_frames`."""
    return len(open_frames(path))


def _open(path: Path, key: str) -> h5py.Dataset:
    require_regular(path)
    try:
        file = h5py.File(path, "r")
        # A soft or external link may lead to itself or to another file.
        link = file.get(key, getlink=True)
        stored = file[key] if link is None or isinstance(link, h5py.HardLink) else None
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise BadFileError(path, f"cannot be read as HDF5 with {key!r} ({error})", "fetch it again") from None
    if not isinstance(stored, h5py.Dataset) or stored.is_virtual or stored.external or stored.shape is None:
        raise BadFileError(path, f"does not hold the values of {key!r} itself", "fetch it again")
    if stored.chunks and math.prod(stored.chunks) * stored.dtype.itemsize > MAX_FRAME_BYTES:
        raise BadFileError(path, f"holds {key!r} in blocks of {stored.chunks}", "save it in smaller blocks")
    return stored
