"""Merging the masks of several raters into one reference."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def additive_max(votes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Votes per pixel as a share of the image's own maximum, in 256 steps.

    This is an additive vote: one rater alone gives full marks, and it is not divided by the number of raters.

    Args:
        votes: How many masks mark each pixel, (H, W).

    Returns:
        Shares (H, W) in [0, 255], uint8; zero where nobody marked anything.

    Reference:
        Jalaboi et al., Dermatological Diagnosis Explainability Benchmark for CNNs, 2023 (as in its code).

    Example:
        >>> additive_max(np.array([[0, 1, 2]]))
        array([[  0, 128, 255]], dtype=uint8)
    """
    top = int(votes.max(initial=0))
    if top == 0:
        return np.zeros(votes.shape, dtype=np.uint8)
    return np.clip(votes / top * 256, 0, 255).astype(np.uint8)


def shrink(plane: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A grey plane (H, W) averaged down to (side, side), so that a thin mask grows faint rather than vanishes."""
    if plane.shape == (side, side):
        return plane
    return np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BOX), dtype=np.uint8)
