"""Decoding images and masks."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from datasets import BadFileError, Mask, Sample
from datasets.files import open_regular, read_bytes
from datasets.hdf5 import open_frames
from datasets.mask_levels import find_level_fault

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
READINGS = {
    "turned": "have an orientation tag and are turned as it says",
    "stored": "have an orientation tag that is ignored, because their masks fit only the image as stored",
    "background": "may have transparent pixels, which show white",
    "window": "have 16 bits: the range of each image is mapped to 0 to 255",
    "first": "have several pages, of which only the first one is read",
}
BACKGROUND = (255, 255, 255)
"""Color behind transparent pixels."""

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


SIDEWAYS = frozenset(
    {Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90}
)


def read_image(sample: Sample, side: int) -> NDArray[np.uint8]:
    """Reads the image of a sample as it is displayed, and resizes it to a square.

    Transparent pixels show white. The 65,536 levels of a 16-bit gray image are reduced to 256: its darkest pixel
    becomes 0 and its brightest 255.

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


def read_pixels(sample: Sample) -> NDArray[np.uint8]:
    """Reads the image of a sample at its own size, (H, W, 3). Otherwise as :func:`read_image`."""
    return np.asarray(_image(sample), dtype=np.uint8)


def read_mask(mask: Mask, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Reads a mask at its own size, (H, W).

    Accepts 1-bit, gray, color and interpolated masks.

    Args:
        mask: The mask.
        size: Width and height of its image. None accepts any size.

    Raises:
        ValueError: The file is not an image, is damaged, is too large, differs in size from its image, has only
            values that are too small to mark anything, has areas of more than two gray levels, or has its shape in
            the alpha channel.
    """
    if mask.box is not None:
        return _rectangle(mask.box, size)
    image = _decode(mask.path)
    if size is not None and image.size != size:
        sizes = f"{image.width} x {image.height}, its image {size[0]} x {size[1]}"
        raise BadFileError(mask.path, f"is {sizes}", "a mask must fit its image: fix or remove it")
    if mask.marks is not None:
        values = np.asarray(image)
        if values.ndim == 3:
            values = values[..., :3].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        return np.isin(values, list(mask.marks))
    if image.mode.startswith("I"):
        raise BadFileError(mask.path, f"has pixels of {image.mode}", "save it with 8 bits a channel")
    gray = image.convert("L")
    if _has_alpha(image) and _alpha_differs(image, gray):
        raise BadFileError(mask.path, "has its shape in the alpha channel", "save it as black and white, without alpha")
    if fault := find_level_fault(gray):
        raise BadFileError(mask.path, *fault)
    return np.asarray(gray) > 127


def image_size(sample: Sample) -> tuple[int, int]:
    """Returns width and height of the image of a sample as it is read, from the file header, without decoding it.

    Raises:
        ValueError: The file is not an image or is too large.
    """
    if sample.image is None:
        raise ValueError(f"{sample.id} has no image; name their directory with --image-dir")
    if sample.frame is not None:
        height, width = open_frames(sample.image).shape[1:3]
        return int(width), int(height)
    header = read_header(sample.image)
    return header.size if is_read_as_stored(sample, header) else header.displayed_size


def read_header(path: Path) -> Header:
    """Reads the header of an image file.

    Raises:
        ValueError: The file is not an image or is too large.
    """
    with _opened(path) as image:
        return _header(image)


def _header(image: Image.Image) -> Header:
    return Header(
        size=image.size,
        turn=_turn(image),
        mode=image.mode,
        alpha=_has_alpha(image),
        pages=1 if image.format == "MPO" else getattr(image, "n_frames", 1),
    )


def find_readings(sample: Sample) -> tuple[str, ...]:
    """Returns what is done to an image, apart from decoding it: keys of READINGS. Reads only the file header.

    Raises:
        ValueError: The file is not an image or is too large.
    """
    if sample.image is None or sample.frame is not None:
        return ()
    header = read_header(sample.image)
    stored = header.turn is not None and is_read_as_stored(sample, header)
    done = {
        "turned": header.turn is not None and not stored,
        "stored": stored,
        "background": header.alpha,
        "window": header.mode.startswith("I;16"),
        "first": header.pages > 1,
    }
    return tuple(name for name, applies in done.items() if applies)


def is_read_as_stored(sample: Sample, header: Header) -> bool:
    """Returns whether the orientation tag of an image is ignored, because its first mask fits only the stored image."""
    files = [mask.path for mask in sample.masks if mask.box is None]
    if header.size == header.displayed_size or not files:
        return False
    try:
        return read_header(files[0]).displayed_size == header.size
    except BadFileError:  # reported when the mask itself is read
        return False


def _image(sample: Sample) -> Image.Image:
    if sample.image is None:
        raise ValueError(f"{sample.id} has no image; name their directory with --image-dir")
    if sample.frame is None:
        return _to_rgb(_decode(sample.image, sample))
    try:
        return Image.fromarray(open_frames(sample.image)[sample.frame])
    except OSError as error:
        raise BadFileError(sample.image, f"is damaged at image {sample.frame} ({error})", "fetch it again") from None


def _decode(path: Path, sample: Sample | None = None) -> Image.Image:
    """Decodes an image file in its own mode, as it is displayed, or as it is stored if its sample demands that."""
    with _opened(path) as image:
        _reject_depth(path, image)
        _reject_scans(path, image)
        turn = _turn(image)
        if turn is not None and sample is not None and is_read_as_stored(sample, _header(image)):
            turn = None
        image.load()
        return image if turn is None else image.transpose(turn)


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


def _to_rgb(image: Image.Image) -> Image.Image:
    # Converting an image to its own mode would copy it.
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return _windowed(image).convert("RGB")
    if _has_alpha(image):
        layers = image.convert("RGBA")
        if layers.getchannel("A").getextrema() != (255, 255):
            behind = Image.new("RGBA", layers.size, BACKGROUND)
            return Image.alpha_composite(behind, layers).convert("RGB")
    return image.convert("RGB")


def _windowed(image: Image.Image) -> Image.Image:
    """Maps the range of a 16-bit image to 0 to 255. A constant image becomes 0."""
    values = np.asarray(image).astype(np.float64)
    low, high = values.min(), values.max()
    return Image.fromarray(np.round((values - low) / max(high - low, 1) * 255).astype(np.uint8))


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info


def _alpha_differs(image: Image.Image, gray: Image.Image) -> bool:
    """Returns whether the transparency of a mask varies and shows another shape than its brightness."""
    alpha = image.convert("RGBA").getchannel("A")
    low, high = alpha.getextrema()
    return low != high and not np.array_equal(np.asarray(alpha) > 127, np.asarray(gray) > 127)


def _reject_bomb(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise BadFileError(path, f"has {image.width} x {image.height} pixels", "make it smaller")


def _reject_depth(path: Path, image: Image.Image) -> None:
    if image.mode.startswith(("I", "F")) and not image.mode.startswith("I;16"):
        raise BadFileError(path, f"has pixels of {image.mode}", "save it with 8 or 16 bits a channel")


def _reject_scans(path: Path, image: Image.Image) -> None:
    if image.info.get("progressive") and read_bytes(path).count(b"\xff\xda") > MAX_SCANS:
        raise BadFileError(path, f"is a progressive JPEG of more than {MAX_SCANS} scans", "save it again")


def _rectangle(box: tuple[int, int, int, int], size: tuple[int, int] | None) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    width, height = size or (right, bottom)
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def _unreadable(path: Path, error: Exception) -> BadFileError:
    if isinstance(error, BOMBS):
        return BadFileError(path, f"has more than {MAX_PIXELS:,} pixels", "make it smaller")
    reason = str(error).split(" '")[0].split(" <")[0].replace("\n", " ")
    return BadFileError(path, f"cannot be read as an image ({reason})", "replace the file or remove it")
