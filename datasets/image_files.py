"""Opening image files: their formats, limits, headers and orientation."""

import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from datasets import BadFileError
from datasets.files import open_regular, read_bytes

SUFFIXES = frozenset(
    {".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
UNREAD = frozenset(
    {
        ".avif",
        ".dcm",
        ".dicom",
        ".gif",
        ".heic",
        ".heif",
        ".j2k",
        ".jp2",
        ".mha",
        ".mhd",
        ".nii",
        ".npy",
        ".npz",
        ".nrrd",
        ".psd",
        ".svg",
        ".svs",
    }
)
"""Suffixes of images and masks that need a conversion. `.nii` includes `.nii.gz`."""
MAX_PIXELS = 100_000_000
"""Larger images are rejected. A small file can decompress to more memory than the machine has."""
MAX_SCANS = 100
"""Progressive JPEGs have about ten scans. Each one costs as much time as a whole image."""
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
FAULTS = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    KeyError,
    TypeError,
    IndexError,
    OverflowError,
    struct.error,
    *BOMBS,
)
"""Exceptions that Pillow raises for files that it cannot read."""
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are opened, whatever the suffix. Some other formats of Pillow start external programs."""
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What to do with an image as stored, for each value of its orientation tag."""
SIDEWAYS = frozenset(
    {Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90}
)

# Filters are global and set once, because threads decode. Pillow warns at its own size limit, of palettes with
# transparency, which is handled here, and once for each bad tag of a TIFF file.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What the header of an image file says.

    Attributes:
        size: Width and height as stored.
        turn: What the orientation tag demands. None if the image is stored as it is displayed.
        mode: Pillow's name of the pixel format.
        alpha: Whether some pixels may be transparent.
        pages: Number of images in the file.
    """

    size: tuple[int, int]
    turn: Image.Transpose | None
    mode: str
    alpha: bool
    pages: int

    @property
    def displayed_size(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return self.size[::-1] if self.turn in SIDEWAYS else self.size


def read_header(path: Path) -> Header:
    """Reads the header of an image file.

    Raises:
        ValueError: The file is not an image or is too large.
    """
    with _opened(path) as image:
        return _header(image)


def decode(path: Path, is_stored: Callable[[Header], bool] = lambda _: False) -> Image.Image:
    """Decodes an image file in its own mode, as it is displayed.

    Args:
        path: The file.
        is_stored: Returns whether the orientation tag is ignored. It is called only if the tag demands a turn.

    Raises:
        ValueError: The file is not an image, is damaged, is too large or has an unusable depth.
    """
    with _opened(path) as image:
        _reject_depth(path, image)
        _reject_scans(path, image)
        turn = _turn(image)
        if turn is not None and is_stored(_header(image)):
            turn = None
        image.load()
        return image if turn is None else image.transpose(turn)


def has_alpha(image: Image.Image) -> bool:
    """Returns whether some pixels of an image may be transparent."""
    return image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info


def _header(image: Image.Image) -> Header:
    return Header(
        size=image.size,
        turn=_turn(image),
        mode=image.mode,
        alpha=has_alpha(image),
        pages=1 if image.format == "MPO" else getattr(image, "n_frames", 1),
    )


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
            _reject_bomb(path, image)
            yield image
    except BadFileError:
        raise
    except FAULTS as error:
        raise _unreadable(path, error) from None


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Returns what the orientation tag demands, before the image is loaded. Pillow turns TIFF images by itself."""
    try:
        if image.format in {"JPEG", "MPO", "WEBP"}:
            return TURNS.get(image.getexif().get(ORIENTATION, 1))
        if image.format == "PNG" and "exif" in image.info:
            exif = Image.Exif()
            exif.load(image.info["exif"])
            return TURNS.get(exif.get(ORIENTATION, 1))
    except FAULTS:  # a damaged tag
        return None
    return None


def _reject_bomb(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise BadFileError(path, f"has {image.width} x {image.height} pixels", "make it smaller")


def _reject_depth(path: Path, image: Image.Image) -> None:
    if image.mode.startswith(("I", "F")) and not image.mode.startswith("I;16"):
        raise BadFileError(path, f"has pixels of {image.mode}", "save it with 8 or 16 bits a channel")


def _reject_scans(path: Path, image: Image.Image) -> None:
    if image.info.get("progressive") and read_bytes(path).count(b"\xff\xda") > MAX_SCANS:
        raise BadFileError(path, f"is a progressive JPEG of more than {MAX_SCANS} scans", "save it again")


def _unreadable(path: Path, error: Exception) -> BadFileError:
    if isinstance(error, BOMBS):
        return BadFileError(path, f"has more than {MAX_PIXELS:,} pixels", "make it smaller")
    reason = str(error).split(" '")[0].split(" <")[0].replace("\n", " ")
    return BadFileError(path, f"cannot be read as an image ({reason})", "replace the file or remove it")
