"""Gray images: PNG and TIFF with 8 or 16 bits or float, and JPEG."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.map_files import MAX_VALUES, UNNAMED, Arrays, MapReader
from benchmark.map_files.npy import unreadable
from datasets import BadFileError
from datasets.image_files import FAULTS

FORMATS = ("JPEG", "PNG", "TIFF")
GRAY = frozenset({"1", "L", "I;16", "I;16B", "I;16L", "I", "F"})
AS_GRAY = "save the map itself in gray, not a picture of it in colors"

# A damaged file that warns also fails. Filters are global and set once, because threads decode.
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)


def open_picture(path: Path) -> Arrays:
    """Decodes a gray image. Three equal channels are gray, too.

    Raises:
        ValueError: The file is no image, is damaged, is too large, has colors or several pages.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check_size(path, image)
            image.load()
            pixels = np.asarray(image if image.mode in GRAY else image.convert("RGB"))
            mode = image.mode
    except BadFileError:
        raise
    except (*FAULTS, UserWarning) as error:
        raise unreadable(path, error, "replace the file or remove it") from None
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise BadFileError(path, f"has colors (mode {mode})", AS_GRAY)
        pixels = pixels[..., 0]
    return {UNNAMED: pixels.astype(np.uint16) if pixels.dtype.kind == "u" and pixels.itemsize == 2 else pixels}


def _check_size(path: Path, image: Image.Image) -> None:
    """Rejects an image before it is decoded."""
    if image.width * image.height > MAX_VALUES:
        raise BadFileError(path, f"has {image.width} x {image.height} pixels", "make it smaller")
    if (num_pages := getattr(image, "n_frames", 1)) > 1:
        raise BadFileError(path, f"has {num_pages} pages", "save one map per file")


PICTURE = MapReader(
    name="picture",
    suffixes=frozenset({".jpeg", ".jpg", ".png", ".tif", ".tiff"}),
    open=open_picture,
    holds="one map in gray: 8 or 16 bits, or float in a TIFF",
)
