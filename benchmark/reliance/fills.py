"""Replacements of a region that show only what surrounds it. No pixel of the region enters."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import inpaint_biharmonic

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Fill = Callable[[Pixels, Mask, Mask], Pixels]
"""Takes pixels (H, W, 3), a region and its ring, both (H, W). Returns the pixels with the region replaced."""

BLUR_FRACTION = 1 / 16
"""Standard deviation of the blur, as a fraction of the side."""


def fill_ring_mean(pixels: Pixels, region: Mask, ring: Mask) -> Pixels:
    """Fills a region with the mean color of its ring.

    Example:
        >>> pixels = np.array([[[0] * 3, [90] * 3, [20] * 3]], dtype=np.uint8)
        >>> region = np.array([[False, True, False]])
        >>> fill_ring_mean(pixels, region, ~region)[0, :, 0].tolist()
        [0, 10, 20]
    """
    return _replaced(pixels, region, pixels[ring].mean(axis=0))


def fill_biharmonic(pixels: Pixels, region: Mask, _ring: Mask) -> Pixels:
    """Fills a region smoothly: values and slopes continue those at its border.

    Reference:
        Damelin and Hoang, On surface completion and image inpainting by biharmonic functions, 2018, in scikit-image.
    """
    filled = inpaint_biharmonic(pixels / 255.0, region, channel_axis=-1)
    return _replaced(pixels, region, 255 * filled[region])


def fill_blur(pixels: Pixels, region: Mask, _ring: Mask) -> Pixels:
    """Fills a region with the blurred surroundings: a Gaussian mean of the pixels outside of the region."""
    sigma = BLUR_FRACTION * len(pixels)
    outside = ~region
    # Far from the border the weights are tiny, so the window covers the image and the sums are in float64.
    blur = (sigma, sigma, 0)
    reach = (len(pixels) + 1) / sigma
    weights = ndimage.gaussian_filter(outside[..., None].astype(np.float64), blur, mode="constant", truncate=reach)
    sums = ndimage.gaussian_filter(
        pixels * outside[..., None].astype(np.float64), blur, mode="constant", truncate=reach
    )
    return _replaced(pixels, region, (sums[region] / weights[region]))


def _replaced(pixels: Pixels, region: Mask, values: NDArray[np.float64]) -> Pixels:
    filled = pixels.copy()
    filled[region] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return filled


FILLS: dict[str, Fill] = {"ring": fill_ring_mean, "biharmonic": fill_biharmonic, "blur": fill_blur}
"""All fills. A verdict on reliance must agree over them."""
