"""The images and masks of samples as arrays."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets import BadFileError, Mask, Sample
from datasets.hdf5 import open_frames
from datasets.image_files import Header, decode, has_alpha, read_header
from datasets.mask_levels import find_level_fault

READINGS = {
    "turned": "with an orientation tag, turned as it says",
    "stored": "with an orientation tag that is ignored, because masks fit only the image as stored",
    "background": "that may have transparent pixels, which show white",
    "window": "of 16 bits, with the range of each image mapped to 0 to 255",
    "first": "of several pages, with only the first one read",
}
BACKGROUND = (255, 255, 255)
"""Color behind transparent pixels."""


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
    image = decode(mask.path)
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
    if has_alpha(image) and _alpha_differs(image, gray):
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
        return _to_rgb(decode(sample.image, lambda header: is_read_as_stored(sample, header)))
    try:
        return Image.fromarray(open_frames(sample.image)[sample.frame])
    except OSError as error:
        raise BadFileError(sample.image, f"is damaged at image {sample.frame} ({error})", "fetch it again") from None


def _to_rgb(image: Image.Image) -> Image.Image:
    # Converting an image to its own mode would copy it.
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return _windowed(image).convert("RGB")
    if has_alpha(image):
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


def _alpha_differs(image: Image.Image, gray: Image.Image) -> bool:
    """Returns whether the transparency of a mask varies and shows another shape than its brightness."""
    alpha = image.convert("RGBA").getchannel("A")
    low, high = alpha.getextrema()
    return low != high and not np.array_equal(np.asarray(alpha) > 127, np.asarray(gray) > 127)


def _rectangle(box: tuple[int, int, int, int], size: tuple[int, int] | None) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    width, height = size or (right, bottom)
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top:bottom, left:right] = True
    return mask
