"""Density of a map on random regions: the fraction of its mass there over the fraction of the image."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.reliance import PREFIX
from benchmark.reliance.regions import choose_superpixels
from benchmark.reliance.variants import NUM_SUPERPIXELS


def superpixel_masks(images: NDArray[np.uint8], names: Sequence[str]) -> list[list[NDArray[np.bool_]]]:
    """Returns the random regions of each image of (T, S, S, 3)."""
    return [choose_superpixels(pixels, name, NUM_SUPERPIXELS) for pixels, name in zip(images, names, strict=True)]


def measure_densities(
    maps: NDArray[np.float16], masks: Sequence[Sequence[NDArray[np.bool_]]], method: str
) -> pd.DataFrame:
    """Computes the density of each map on the random regions of its image.

    Args:
        maps: (T, S, S), not negative.
        masks: The regions of each image.
        method: Name of the saliency method.

    Returns:
        One row per image with a column per region, at least 0. NaN for a map without mass or that is not finite, and
        where an image has fewer regions.
    """
    densities = np.full((len(maps), NUM_SUPERPIXELS), np.nan)
    for index, (saliency, regions) in enumerate(zip(maps, masks, strict=True)):
        mass = saliency.astype(np.float64)
        if np.isfinite(mass).all() and mass.sum() > 0:
            densities[index, : len(regions)] = [mass[mask].mean() / mass.mean() for mask in regions]
    return pd.DataFrame(densities, columns=[density_column(method, index) for index in range(NUM_SUPERPIXELS)])


def density_column(method: str, index: int) -> str:
    """Returns the name of the column of a method and a random region."""
    return f"{PREFIX}superpixel {index} density by {method}"
