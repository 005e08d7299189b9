"""The gray levels of a mask: whether there is one boundary between marked and unmarked pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THRESHOLD = 127
MIN_AREA = 9
"""Minimum number of uniform neighborhoods of 3 x 3 pixels that make a level an area."""
FEW_LEVELS = 8
"""Interpolated masks have more levels. Enlarged again, they have small areas of some of them."""
MIN_FRACTION = 0.1
"""Minimum fraction, in these masks, of all uniform neighborhoods that are not of the most common level."""
NOISY = 32
"""Masks with more levels may have gone through a lossy format. Their levels scatter around the true ones."""
SCATTER = 24


def find_level_fault(mask: Image.Image) -> tuple[str, str] | None:
    """Returns what is wrong with the levels of a mask of mode L, and the remedy. None if nothing is.

    Marked pixels are above 127. Interpolated edges have levels between, but no areas of them.
    """
    histogram = np.array(mask.histogram())
    levels = np.flatnonzero(histogram)
    if 0 < (brightest := int(levels[-1])) <= THRESHOLD:
        return f"is a mask with no value above {brightest}", "scale it, so that marked pixels are 255"
    if len(levels) <= 2:
        return None
    areas = _areas(np.asarray(mask), len(levels))
    if len(areas) <= 2:
        return None
    text = ", ".join(str(level) for level in areas[:8])
    return f"is a mask with areas of the gray levels {text}", "save it with 255 where it marks and 0 elsewhere"


def _areas(values: NDArray[np.uint8], num_levels: int) -> list[int]:
    """Returns the levels that fill areas, sorted, and the brightest one, which may be a thin rim."""
    counts = np.bincount(values[1:-1, 1:-1][_uniform(values)], minlength=256)
    fraction = MIN_FRACTION if num_levels > FEW_LEVELS else 0
    filled = counts >= max(MIN_AREA, fraction * (counts.sum() - counts.max()))
    filled[values.max()] = True
    areas: list[int] = []
    for level in np.flatnonzero(filled):
        if not (num_levels > NOISY and areas and level - areas[-1] <= SCATTER):
            areas.append(int(level))
    return areas


def _uniform(values: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns where a pixel equals its eight neighbors, (H - 2, W - 2)."""
    rows = (values[:, 1:-1] == values[:, :-2]) & (values[:, 1:-1] == values[:, 2:])
    return (
        rows[1:-1]
        & rows[:-2]
        & rows[2:]
        & (values[1:-1, 1:-1] == values[:-2, 1:-1])
        & (values[1:-1, 1:-1] == values[2:, 1:-1])
    )
