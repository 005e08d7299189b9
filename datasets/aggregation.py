"""Aggregation of the masks of several raters into one reference.

Only raters who drew anything on the image count, since most data sets do not state who looked at it. `counts` has one
layer for each of them: the number of their masks that mark each pixel.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets import Aggregation, Counts


def additive_max(counts: Counts) -> NDArray[np.uint8]:
    """Computes votes per pixel as a fraction of the maximum of the image, in 256 steps.

    The vote is additive. A pixel in two masks of one rater counts twice. A single rater reaches the maximum. The sum
    is not divided by the number of raters.

    Args:
        counts: Number of masks of each rater that mark each pixel, (R, H, W).

    Returns:
        (H, W) in [0, 255], uint8. Zero where nobody marked anything.

    Reference:
        Jalaboi et al., Dermatological Diagnosis Explainability Benchmark for CNNs, 2023 (as in its code).

    Example:
        >>> additive_max(np.array([[[0, 1, 1]], [[0, 0, 1]]]))
        array([[  0, 128, 255]], dtype=uint8)
    """
    votes = counts[0] if len(counts) == 1 else counts.sum(axis=0, dtype=np.uint16)
    top = int(votes.max(initial=0))
    # There are few distinct sums: a lookup table is cheaper than arithmetic on every pixel.
    steps = np.clip(np.arange(top + 1) / max(top, 1) * 256, 0, 255).astype(np.uint8)
    return steps[votes]


def mean(counts: Counts) -> NDArray[np.uint8]:
    """Computes the fraction of the raters who marked the pixel, with any characteristic.

    Args:
        counts: Number of masks of each rater that mark each pixel, (R, H, W).

    Returns:
        (H, W) in [0, 255], uint8.

    Example:
        >>> mean(np.array([[[0, 1, 2]], [[0, 0, 1]]]))
        array([[  0, 128, 255]], dtype=uint8)
    """
    raters = len(counts)
    steps = np.round(np.arange(raters + 1) / max(raters, 1) * 255).astype(np.uint8)
    return steps[(counts > 0).sum(axis=0)]


def union(counts: Counts) -> NDArray[np.uint8]:
    """Returns the pixels that any rater marked.

    Args:
        counts: Number of masks of each rater that mark each pixel, (R, H, W).

    Returns:
        0 or 255, (H, W), uint8.

    Example:
        >>> union(np.array([[[0, 1, 2]], [[0, 0, 1]]]))
        array([[  0, 255, 255]], dtype=uint8)
    """
    return np.where((counts > 0).any(axis=0), np.uint8(255), np.uint8(0))


def majority(counts: Counts) -> NDArray[np.uint8]:
    """Returns the pixels that more than half of the raters marked. One of two is no majority.

    Args:
        counts: Number of masks of each rater that mark each pixel, (R, H, W).

    Returns:
        0 or 255, (H, W), uint8.

    Example:
        >>> majority(np.array([[[0, 1, 2]], [[0, 0, 1]]]))
        array([[  0,   0, 255]], dtype=uint8)
    """
    return np.where(2 * (counts > 0).sum(axis=0) > len(counts), np.uint8(255), np.uint8(0))


def shrink(mask: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Averages a mask (H, W) down to (side, side). Thin masks become faint, but do not vanish."""
    if mask.shape == (side, side):
        return mask
    return np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.BOX), dtype=np.uint8)


ADDITIVE_MAX = Aggregation(
    name="additive_max",
    combine=additive_max,
    formula="min(255, floor(256 v / max v)) with v the number of masks, of all raters, that mark the pixel",
    source="Jalaboi et al., Dermatological Diagnosis Explainability Benchmark for CNNs, 2023 (as in its code)",
)
MEAN = Aggregation(
    name="mean",
    combine=mean,
    formula="round(255 r / R) with r of the R raters who drew on the image marking the pixel",
    source="fraction of raters, as in LIDC-IDRI's practice",
)
UNION = Aggregation(
    name="union",
    combine=union,
    formula="255 where r >= 1 of the raters mark the pixel",
    source="set union of all raters",
)
MAJORITY = Aggregation(
    name="majority",
    combine=majority,
    formula="255 where r > R / 2 of the R raters who drew on the image mark the pixel",
    source="majority vote of the raters",
)
