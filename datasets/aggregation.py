"""Merging the masks of several raters into one reference.

Raters are those who drew anything on the image; whoever drew nothing is not counted, since most data sets do not say
who looked. `counts` has a plane for each of them: how many of their masks mark the pixel.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets import Aggregation, Counts


def additive_max(counts: Counts) -> NDArray[np.uint8]:
    """Votes per pixel as a share of the image's own maximum, in 256 steps.

    This is an additive vote: a pixel under two masks of one rater counts twice, one rater alone gives full marks, and
    the sum is not divided by the number of raters.

    Args:
        counts: How many masks of each rater mark each pixel, (R, H, W).

    Returns:
        Shares (H, W) in [0, 255], uint8; zero where nobody marked anything.

    Reference:
        Jalaboi et al., Dermatological Diagnosis Explainability Benchmark for CNNs, 2023 (as in its code).

    Example:
        >>> additive_max(np.array([[[0, 1, 1]], [[0, 0, 1]]]))
        array([[  0, 128, 255]], dtype=uint8)
    """
    votes = counts[0] if len(counts) == 1 else counts.sum(axis=0, dtype=np.uint16)
    top = int(votes.max(initial=0))
    # There are few different sums: a table of them is cheaper than arithmetic on every pixel.
    steps = np.clip(np.arange(top + 1) / max(top, 1) * 256, 0, 255).astype(np.uint8)
    return steps[votes]


def mean(counts: Counts) -> NDArray[np.uint8]:
    """Share of the raters who marked the pixel, whatever they marked it as.

    Args:
        counts: How many masks of each rater mark each pixel, (R, H, W).

    Returns:
        Shares (H, W) in [0, 255], uint8.

    Example:
        >>> mean(np.array([[[0, 1, 2]], [[0, 0, 1]]]))
        array([[  0, 128, 255]], dtype=uint8)
    """
    raters = len(counts)
    steps = np.round(np.arange(raters + 1) / max(raters, 1) * 255).astype(np.uint8)
    return steps[(counts > 0).sum(axis=0)]


def union(counts: Counts) -> NDArray[np.uint8]:
    """What anybody marked.

    Args:
        counts: How many masks of each rater mark each pixel, (R, H, W).

    Returns:
        0 or 255, (H, W), uint8.

    Example:
        >>> union(np.array([[[0, 1, 2]], [[0, 0, 1]]]))
        array([[  0, 255, 255]], dtype=uint8)
    """
    return np.where((counts > 0).any(axis=0), np.uint8(255), np.uint8(0))


def majority(counts: Counts) -> NDArray[np.uint8]:
    """What more than half of the raters marked; one of two is no majority.

    Args:
        counts: How many masks of each rater mark each pixel, (R, H, W).

    Returns:
        0 or 255, (H, W), uint8.

    Example:
        >>> majority(np.array([[[0, 1, 2]], [[0, 0, 1]]]))
        array([[  0,   0, 255]], dtype=uint8)
    """
    return np.where(2 * (counts > 0).sum(axis=0) > len(counts), np.uint8(255), np.uint8(0))


def shrink(plane: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A gray plane (H, W) averaged down to (side, side), so that a thin mask grows faint rather than vanishes."""
    if plane.shape == (side, side):
        return plane
    return np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BOX), dtype=np.uint8)


ADDITIVE_MAX = Aggregation(
    name="additive_max",
    merge=additive_max,
    formula="min(255, floor(256 v / max v)) with v the number of masks, of all raters, that mark the pixel",
    source="Jalaboi et al., Dermatological Diagnosis Explainability Benchmark for CNNs, 2023 (as in its code)",
)
MEAN = Aggregation(
    name="mean",
    merge=mean,
    formula="round(255 r / R) with r of the R raters who drew on the image marking the pixel",
    source="share of raters, as in LIDC-IDRI's practice",
)
UNION = Aggregation(
    name="union", merge=union, formula="255 where r >= 1 of the raters mark the pixel", source="set union of all raters"
)
MAJORITY = Aggregation(
    name="majority",
    merge=majority,
    formula="255 where r > R / 2 of the R raters who drew on the image mark the pixel",
    source="majority vote of the raters",
)
