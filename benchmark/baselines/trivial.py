"""Maps that look at no image: what any saliency map has to beat."""

import numpy as np
from numpy.typing import NDArray

from benchmark.runtime.randomness import seeded_generator

Map = NDArray[np.float32]


def gaussian_name(width: float) -> str:
    """Name of the Gaussian in tables."""
    return f"centered Gaussian, {width:g} of the side"


def gaussian_profile(pixels: int, width: float) -> NDArray[np.float64]:
    """One side of a centered Gaussian, (pixels,); its peak is 1, its sigma `width` of the side."""
    places = (np.arange(pixels) - (pixels - 1) / 2) / pixels
    return np.exp(-(places**2) / (2 * width**2))


def gaussian(shape: tuple[int, int], width: float) -> Map:
    """Centered Gaussian (H, W) whose sigma is a share of each side."""
    return np.outer(gaussian_profile(shape[0], width), gaussian_profile(shape[1], width)).astype(np.float32)


def noise(shape: tuple[int, int], name: str) -> Map:
    """Uniform noise (H, W) that depends on the image's name alone."""
    return seeded_generator(f"noise of {name}").random(shape, dtype=np.float32)
