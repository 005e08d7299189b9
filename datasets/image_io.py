"""Decoding images and masks."""

import warnings
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from datasets import BadFileError, Mask, Sample

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
MOST_PIXELS = 100_000_000
"""Larger pictures are refused: a small file can unfold into more memory than there is."""
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
FAULTS = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    *BOMBS,
)
"""What Pillow raises of a file that it cannot read."""
FORMATS = ("BMP", "JPEG", "PNG", "TIFF")
"""What is opened, whatever the ending of the name says: some of Pillow's other formats start programs."""
HDF5_IMAGES = "x"

# Set once and for all, since threads decode: Pillow warns of size, at its own limit, and of palettes with transparency,
# which we drop.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="Palette images with Transparency", category=UserWarning)


def read_image(sample: Sample, side: int) -> NDArray[np.uint8]:
    """The image of a case, resized to a square.

    Args:
        sample: A case that has an image.
        side: Side in pixels. The aspect ratio is not kept, as in Jalaboi (2023).

    Returns:
        Pixels (side, side, 3), uint8.

    Raises:
        ValueError: The file is no image, is damaged or is too large.
    """
    picture = _image(sample)
    if picture.size != (side, side):
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def read_mask(mask: Mask, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """A mask at its own size, (H, W).

    Takes 1-bit, gray, color and interpolated masks alike.

    Args:
        mask: What to read.
        size: Width and height of its image, where known.

    Raises:
        ValueError: The file is no image, is damaged, is too large, has another size than its image, or marks nothing
            for its values are too small.
    """
    if mask.box is not None:
        return _rectangle(mask.box, size)
    picture = _decode(mask.path, "L" if mask.marks is None else None)
    if size is not None and picture.size != size:
        sizes = f"{picture.width} x {picture.height}, its image {size[0]} x {size[1]}"
        raise BadFileError(mask.path, f"is {sizes}", "a mask must fit its image: mend or remove it")
    values = np.asarray(picture)
    if mask.marks is not None:
        if values.ndim == 3:
            values = values[..., :3].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        return np.isin(values, list(mask.marks))
    if 0 < (brightest := int(values.max(initial=0))) <= 127:
        what = f"is a mask with no value above {brightest}"
        raise BadFileError(mask.path, what, "scale it, so that marked pixels are 255")
    return values > 127


def image_size(sample: Sample) -> tuple[int, int]:
    """Width and height of the image of a case, from the file's header, without decoding it.

    Raises:
        ValueError: The file is no image or is too large.
    """
    if sample.image is None:
        raise ValueError(f"{sample.id} has no image; name their directory with --image-dir")
    if sample.frame is not None:
        height, width = _frames(sample.image).shape[1:3]
        return int(width), int(height)
    try:
        with Image.open(sample.image, formats=FORMATS) as picture:
            _refuse_bomb(sample.image, picture)
            return picture.size
    except BadFileError:
        raise
    except FAULTS as error:
        raise _unreadable(sample.image, error) from None


def frames_in(path: Path) -> int:
    """How many images an HDF5 file holds.

    Raises:
        ValueError: The file is no HDF5 file of RGB images.
    """
    return len(_frames(path))


def _image(sample: Sample) -> Image.Image:
    if sample.image is None:
        raise ValueError(f"{sample.id} has no image; name their directory with --image-dir")
    if sample.frame is None:
        return _decode(sample.image, "RGB")
    try:
        return Image.fromarray(_frames(sample.image)[sample.frame])
    except OSError as error:
        raise BadFileError(sample.image, f"is damaged at image {sample.frame} ({error})", "fetch it again") from None


def _decode(path: Path, mode: str | None) -> Image.Image:
    """A picture, converted to a mode; None leaves its values as they are."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            _refuse_bomb(path, picture)
            _refuse_depth(path, picture)
            picture.load()
            # A copy only where the pixels have to change: conversion to its own mode would be one more.
            return picture if mode in {None, picture.mode} else picture.convert(mode)
    except BadFileError:
        raise
    except FAULTS as error:
        raise _unreadable(path, error) from None


def _refuse_bomb(path: Path, picture: Image.Image) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise BadFileError(path, f"has {picture.width} x {picture.height} pixels", "make it smaller")


def _refuse_depth(path: Path, picture: Image.Image) -> None:
    if picture.mode.startswith(("I", "F")):
        raise BadFileError(path, f"has pixels of {picture.mode}", "save it with 8 bits a channel")


def _rectangle(box: tuple[int, int, int, int], size: tuple[int, int] | None) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    width, height = size or (right, bottom)
    drawn = np.zeros((height, width), dtype=np.bool_)
    drawn[top:bottom, left:right] = True
    return drawn


@lru_cache(maxsize=8)
def _frames(path: Path) -> h5py.Dataset:
    """The images of an HDF5 file, which stays open: opening it anew for every image costs more than reading."""
    try:
        found = h5py.File(path, "r")[HDF5_IMAGES]
    except (OSError, KeyError) as error:
        what = f"cannot be read as HDF5 with images in {HDF5_IMAGES!r} ({error})"
        raise BadFileError(path, what, "fetch it again") from None
    if not isinstance(found, h5py.Dataset) or found.ndim != 4 or found.shape[-1] != 3 or found.dtype != np.uint8:
        raise BadFileError(path, f"holds in {HDF5_IMAGES!r} no RGB images (N, H, W, 3) of 8 bits", "fetch it again")
    return found


def _unreadable(path: Path, error: Exception) -> BadFileError:
    if isinstance(error, BOMBS):
        return BadFileError(path, f"has more than {MOST_PIXELS:,} pixels", "make it smaller")
    reason = str(error).split(" '")[0].replace("\n", " ")
    return BadFileError(path, f"cannot be read as an image ({reason})", "replace the file or remove it")
