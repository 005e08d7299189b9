"""Restricts two rows to the images on which both have a score."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.bootstrap import Estimate, ImageScores
from benchmark.statistics.ratios import mean_ratio
from benchmark.statistics.resampling import effective_groups

Array = NDArray[np.float64]


def on_common_images(one: Estimate, other: Estimate) -> tuple[Estimate, Estimate]:
    """Returns both estimates over the images that both have. Draws and intervals stay those of all images of each.

    Estimates over the same images, and statistics that every image has, are returned as they are.
    """
    if one.error.key == other.error.key or one.by_image is None or other.by_image is None:
        return one, other
    common = np.where(one.by_image.counts == other.by_image.counts, one.by_image.counts, 0)
    first, second = (restricted(estimate, common) for estimate in (one, other))
    return first, second


def restricted(estimate: Estimate, counts: NDArray[np.float32]) -> Estimate:
    """Returns an estimate over some of its images, with the variance between trainings of all of them.

    Args:
        estimate: An estimate with scores by image.
        counts: Counts (N, C): those of the estimate, or 0 for images that are left out.
    """
    scores = estimate.by_image
    if scores is None:
        return estimate
    amounts = np.where(counts > 0, scores.amounts, 0).astype(np.float64)
    num_groups = len(estimate.error.contributions)
    by_group, sizes = (_sums(values, scores, num_groups) for values in (amounts, counts.astype(np.float64)))
    total = sizes.sum(axis=1)
    present = total > 0
    num_columns = max(int(present.sum()), 1)
    scale = np.divide(1.0, total, out=np.zeros(len(total)), where=present) / num_columns
    sums = by_group.sum(axis=1)
    count = sizes.sum(axis=0)
    error = replace(
        estimate.error,
        contributions=(scale @ by_group).astype(np.float32),
        counts=((sums * scale * num_columns * scale) @ sizes)[None],
        rates=np.ones(1),
        has_images=count > 0,
        groups=effective_groups(count),
        key=0,
    )
    num_images = int((counts.sum(axis=1) > 0).sum())
    return replace(estimate, value=float(mean_ratio(sums, total)), images=num_images, error=error)


def _sums(values: Array, scores: ImageScores, num_groups: int) -> Array:
    """Sums the columns of values (N, C) over the images of each group, (C, G)."""
    return np.stack([np.bincount(scores.codes, weights=column, minlength=num_groups) for column in values.T])
