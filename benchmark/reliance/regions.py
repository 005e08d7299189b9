"""The region that an expert marked, regions of the same shape elsewhere, and random regions."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import slic

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MARGIN = 1 / 32
"""Width by which a mask grows, as a fraction of the side: 4 px of 128. Experts draw the rim inside of the lesion."""
RING = 3 / 64
"""Width of the ring around a region, as a fraction of the side: 6 px of 128."""
RIM = 7 / 128
"""Width of the rim that remains with a region when all else is filled."""
MAX_AREA = 0.5
"""Maximum fraction of the image that a region may cover."""
MAX_DARK = 16
"""Maximum value of the dark background around an object, such as the air around a head."""
MIN_INSIDE = 0.9
"""Fraction of a shape that must be on the object elsewhere, relative to the region's own fraction."""
MAX_OVERLAP = 0.25
"""Maximum fraction of a shape that may be missing elsewhere, because it overlaps with the region."""
SHIFTS = 16
"""Number of shifts along each axis that are tried."""
NUM_SEGMENTS = 32
"""Approximate number of superpixels of an image, so that one covers about 3 %."""
COMPACTNESS = 30.0
"""Weight of the distance in pixels against that in color: three times the default, since ultrasound is noisy."""
MAX_SEGMENT = 1 / 8
"""Maximum fraction of the image that a superpixel may cover."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A region and the ring around it, both (H, W)."""

    mask: Mask
    ring: Mask


def build_region(marked: Mask) -> Region | None:
    """Grows a mask by :data:`MARGIN` and adds its ring.

    Returns:
        The region. None if the mask is empty or the region covers more than :data:`MAX_AREA` of the image.
    """
    if not marked.any():
        return None
    mask = grow(marked, MARGIN)
    ring = grow(mask, RING) & ~mask
    return Region(mask=mask, ring=ring) if mask.mean() <= MAX_AREA and ring.any() else None


def grow(mask: Mask, width: float) -> Mask:
    """Adds all pixels nearer to a mask than a fraction of the side."""
    return np.asarray(ndimage.distance_transform_edt(~mask) <= round(width * len(mask)))


def find_object(pixels: Pixels) -> Mask:
    """Finds the object: all but the dark pixels that are connected to the border of the image.

    Example:
        >>> pixels = np.zeros((3, 3, 3), dtype=np.uint8)
        >>> pixels[1, 1:] = 200
        >>> find_object(pixels).astype(int).tolist()
        [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
    """
    labels, _ = ndimage.label(pixels.max(axis=-1) <= MAX_DARK)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return ~np.isin(labels, np.setdiff1d(border, [0]))


def find_places(region: Region, pixels: Pixels, name: str, num_places: int) -> list[Region]:
    """Finds the same shape at other places of the image: on the object, without overlap with the region.

    The image name seeds the choice, so the places depend on no other image. Where no shift stays within the image, the
    shape continues at the opposite edge. Where every shift overlaps with the region, the shape lacks that part, at most
    :data:`MAX_OVERLAP` of it.

    Args:
        region: The region.
        pixels: The image, (H, W, 3).
        name: Name of the image.
        num_places: Maximum number of places.

    Returns:
        Shifted regions in random order, at most `num_places`. Their rings exclude the region. Empty if there is no
        place.
    """
    side = len(region.mask)
    step = max(1, side // SHIFTS)
    overlap = _overlaps(region.mask, region.mask)[::step, ::step]
    inside = _overlaps(find_object(pixels).astype(np.float64), region.mask)[::step, ::step]
    on_object = inside >= MIN_INSIDE * inside[0, 0] - 0.5
    shifts = np.argwhere(on_object & (overlap < 0.5)) * step
    whole = np.array([shift for shift in shifts if not _is_cut(region.mask, shift)], dtype=np.intp).reshape(-1, 2)
    partial = np.argwhere(on_object & (overlap <= MAX_OVERLAP * overlap[0, 0])) * step
    candidates = next(filter(len, (whole, shifts, partial)), partial)
    order = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(candidates))[:num_places]
    places = (_shifted(region, (int(y), int(x))) for y, x in candidates[order])
    return [place for place in places if place.ring.any()]


def _overlaps(image: NDArray[np.generic], mask: Mask) -> NDArray[np.float64]:
    """Computes the sum of an image under a mask for all shifts of the mask around the image, (H, W)."""
    transformed, shape = np.fft.rfft2(image.astype(np.float64)), mask.shape
    return np.fft.irfft2(transformed * np.conj(np.fft.rfft2(mask.astype(np.float64))), s=shape)


def _is_cut(mask: Mask, shift: NDArray[np.integer]) -> bool:
    """Returns whether a shifted mask continues at the opposite edge. Shifts are from 0 to the side."""
    for axis, distance in enumerate(shift.tolist()):
        occupied = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = occupied[0] + distance, occupied[-1] + distance
        if first // mask.shape[axis] != last // mask.shape[axis]:
            return True
    return False


def _shifted(region: Region, shift: tuple[int, int]) -> Region:
    mask = np.roll(region.mask, shift, (0, 1)) & ~region.mask
    # A ring around the new place, and not the shifted ring: it must not continue at the opposite edge.
    return Region(mask=mask, ring=grow(mask, RING) & ~mask & ~region.mask)


def choose_superpixels(pixels: Pixels, name: str, num_regions: int) -> list[Mask]:
    """Chooses random superpixels of an image. The image name seeds the choice.

    Returns:
        Masks (H, W) of at most `num_regions` different superpixels.

    Reference:
        Achanta et al., SLIC superpixels compared to state-of-the-art superpixel methods, PAMI 34, 2012.
    """
    labels = slic(pixels, n_segments=NUM_SEGMENTS, compactness=COMPACTNESS, start_label=0, channel_axis=-1)
    counts = np.bincount(labels.ravel())
    # A flat background may become one segment. It is no random region.
    names = np.flatnonzero((counts > 0) & (counts <= MAX_SEGMENT * labels.size))
    order = np.random.default_rng(zlib.crc32(f"{name}/superpixels".encode())).permutation(len(names))[:num_regions]
    return [labels == label for label in names[order]]
