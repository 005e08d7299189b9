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
MAX_PIXELS = 100_000_000
"""Larger images are rejected. A small file can decompress to more memory than the machine has."""
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
"""Exceptions that Pillow raises for files that it cannot read."""
FORMATS = ("BMP", "JPEG", "PNG", "TIFF")
"""Formats that are opened, whatever the suffix. Some other formats of Pillow start external programs."""
HDF5_IMAGES = "x"

# Filters are global and set once, because threads decode. Pillow warns at its own size limit, and of palettes with
# transparency, which is dropped here.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="Palette images with Transparency", category=UserWarning)


def read_image(sample: Sample, side: int) -> NDArray[np.uint8]:
    """Reads the image of a sample and resizes it to a square.

    Args:
        sample: A sample with an image.
        side: Side in pixels. The aspect ratio is ignored, as in Jalaboi (2023).

    Returns:
        Pixels (side, side, 3), uint8.

    Raises:
        ValueError: The file is not an image, is damaged or is too large.
    """
    image = _image(sample)
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def read_mask(mask: Mask, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Reads a mask at its own size, (H, W).

    Accepts 1-bit, gray, color and interpolated masks.

    Args:
        mask: The mask.
        size: Width and height of its image. None accepts any size.

    Raises:
        ValueError: The file is not an image, is damaged, is too large, differs in size from its image, or has only
            values that are too small to mark anything.
    """
    if mask.box is not None:
        return _rectangle(mask.box, size)
    image = _decode(mask.path, "L" if mask.marks is None else None)
    if size is not None and image.size != size:
        sizes = f"{image.width} x {image.height}, its image {size[0]} x {size[1]}"
        raise BadFileError(mask.path, f"is {sizes}", "a mask must fit its image: fix or remove it")
    values = np.asarray(image)
    if mask.marks is not None:
        if values.ndim == 3:
            values = values[..., :3].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        return np.isin(values, list(mask.marks))
    if 0 < (brightest := int(values.max(initial=0))) <= 127:
        what = f"is a mask with no value above {brightest}"
        raise BadFileError(mask.path, what, "scale it, so that marked pixels are 255")
    return values > 127


def image_size(sample: Sample) -> tuple[int, int]:
    """Returns width and height of the image of a sample, from the file header, without decoding it.

    Raises:
        ValueError: The file is not an image or is too large.
    """
    if sample.image is None:
        raise ValueError(f"{sample.id} has no image; name their directory with --image-dir")
    if sample.frame is not None:
        height, width = _frames(sample.image).shape[1:3]
        return int(width), int(height)
    try:
        with Image.open(sample.image, formats=FORMATS) as image:
            _reject_bomb(sample.image, image)
            return image.size
    except BadFileError:
        raise
    except FAULTS as error:
        raise _unreadable(sample.image, error) from None


def count_frames(path: Path) -> int:
    """Counts the images in an HDF5 file.

    Raises:
        ValueError: The file is not an HDF5 file of RGB images.
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
    """Decodes an image file and converts it to a mode. None does not convert."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            _reject_bomb(path, image)
            _reject_depth(path, image)
            image.load()
            # Converting an image to its own mode would copy it.
            return image if mode in {None, image.mode} else image.convert(mode)
    except BadFileError:
        raise
    except FAULTS as error:
        raise _unreadable(path, error) from None


def _reject_bomb(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise BadFileError(path, f"has {image.width} x {image.height} pixels", "make it smaller")


def _reject_depth(path: Path, image: Image.Image) -> None:
    if image.mode.startswith(("I", "F")):
        raise BadFileError(path, f"has pixels of {image.mode}", "save it with 8 bits a channel")


def _rectangle(box: tuple[int, int, int, int], size: tuple[int, int] | None) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    width, height = size or (right, bottom)
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@lru_cache(maxsize=8)
def _frames(path: Path) -> h5py.Dataset:
    """Opens the images of an HDF5 file. It stays open, because reopening it per image costs more than reading."""
    try:
        frames = h5py.File(path, "r")[HDF5_IMAGES]
    except (OSError, KeyError) as error:
        what = f"cannot be read as HDF5 with images in {HDF5_IMAGES!r} ({error})"
        raise BadFileError(path, what, "fetch it again") from None
    if not isinstance(frames, h5py.Dataset) or frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise BadFileError(path, f"holds in {HDF5_IMAGES!r} no RGB images (N, H, W, 3) of 8 bits", "fetch it again")
    return frames


def _unreadable(path: Path, error: Exception) -> BadFileError:
    if isinstance(error, BOMBS):
        return BadFileError(path, f"has more than {MAX_PIXELS:,} pixels", "make it smaller")
    reason = str(error).split(" '")[0].replace("\n", " ")
    return BadFileError(path, f"cannot be read as an image ({reason})", "replace the file or remove it")
