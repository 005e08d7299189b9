"""Trivial maps, which any saliency map should beat. They ignore the pixels of the image."""

import numpy as np
from numpy.typing import NDArray

from benchmark.runtime.randomness import seeded_generator

Map = NDArray[np.float32]


def gaussian_name(width: float) -> str:
    """Returns the name of the Gaussian in tables."""
    return f"centered Gaussian, {width:g} of the side"


def gaussian_profile(pixels: int, width: float) -> NDArray[np.float64]:
    """Computes one dimension of a centered Gaussian, (pixels,), of peak 1. Its sigma is `width` times the side."""
    positions = (np.arange(pixels) - (pixels - 1) / 2) / pixels
    return np.exp(-(positions**2) / (2 * width**2))


def gaussian(shape: tuple[int, int], width: float) -> Map:
    """Computes a centered Gaussian (H, W). Its sigma is `width` times each side."""
    return np.outer(gaussian_profile(shape[0], width), gaussian_profile(shape[1], width)).astype(np.float32)


def noise(shape: tuple[int, int], name: str) -> Map:
    """Generates uniform noise (H, W) that depends only on the name of the image."""
    return seeded_generator(f"noise of {name}").random(shape, dtype=np.float32)
