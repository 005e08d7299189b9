"""Finding and decoding image and mask files."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
MOST_PIXELS = 100_000_000
"""Larger pictures are refused: a small file can unfold into more memory than there is."""


def by_stem(folder: Path) -> dict[str, Path]:
    """The picture files of a folder by stem, sorted by name.

    Superpixel pictures, which ISIC 2017 mixes with its images, are passed over.

    Raises:
        ValueError: Two pictures have the same stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.stem.lower().endswith("_superpixels"):
            continue
        if path.stem in found:
            raise ValueError(f"{path} and {found[path.stem].name} have the same name; remove one of them")
        found[path.stem] = path
    return found


def read_image(path: Path, side: int) -> NDArray[np.uint8]:
    """One image, resized to a square.

    Args:
        path: The file.
        side: Side in pixels. The aspect ratio is not kept, as in Jalaboi (2023).

    Returns:
        Pixels (side, side, 3), uint8.

    Raises:
        ValueError: The file is no image, is damaged or is too large.
    """
    picture = _decode(path).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """One mask at its own size, (H, W): what is brighter than half is marked.

    Takes 1-bit, grey, RGB and interpolated masks alike.

    Raises:
        ValueError: The file is no image, is damaged, is too large or marks nothing for its values are too small.
    """
    grey = np.asarray(_decode(path).convert("L"), dtype=np.uint8)
    if 0 < (brightest := int(grey.max(initial=0))) <= 127:
        raise ValueError(f"{path} is a mask with no value above {brightest}; scale it, so that marked pixels are 255")
    return grey > 127


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height from the file's header, without decoding it.

    Raises:
        ValueError: The file is no image.
    """
    try:
        with Image.open(path) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError) as error:
        raise _unreadable(path, error) from None


def _decode(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns at half of its own limit; ours is checked below, for any size.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise ValueError(f"{path} has {picture.width} x {picture.height} pixels; make it smaller")
                picture.load()
                return picture.copy()
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = str(error).split(" '")[0].replace("\n", " ")
    return ValueError(f"{path} cannot be read as an image ({reason}); replace the file or remove it")
