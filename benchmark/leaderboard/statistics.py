"""Means with intervals, by a bootstrap that every row and column of a table shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratios:
    """A statistic of the form: sum over images of values, divided by the sum of counts, averaged over columns.

    One column with counts of one is a plain mean; a column per class with the right predictions as values and
    the images of the class as counts is the balanced accuracy; a column per characteristic is a macro mean.

    Attributes:
        values: (N, C); zero where the count is zero.
        counts: (N, C); zero where an image has no say.
        undefined: How many scores were no number and are left out.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.float64]
    undefined: int = 0

    @property
    def images(self) -> int:
        """Number of images that have a say."""
        return int((self.counts.sum(axis=1) > 0).sum())

    def under(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The statistic (B,) under weights of the images (B, N); NaN where no image has a say.

        Example:
            >>> half = Ratios(values=np.array([[1.0], [0.0]]), counts=np.ones((2, 1)))
            >>> half.under(np.array([[1.0, 1.0], [3.0, 1.0]]))
            array([0.5 , 0.75])
        """
        counts = weights @ self.counts
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.where(counts > 0, (weights @ self.values) / counts, np.nan)
        present = np.isfinite(shares)
        total = np.where(present, shares, 0.0).sum(axis=1)
        return np.where(present.any(axis=1), total / np.maximum(present.sum(axis=1), 1), np.nan)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        value: Mean over the seeds of the statistic.
        low: Lower end of the percentile interval.
        high: Upper end.
        images: Number of images that have a say, per seed.
        undefined: Scores that were no number, over all seeds.
        draws: The statistic in each draw of the bootstrap, (B,).
    """

    value: float
    low: float
    high: float
    images: int
    undefined: int
    draws: NDArray[np.float64]


def image_weights(groups: Sequence[str]) -> NDArray[np.float64]:
    """How often each image is drawn in each draw of the bootstrap: whole groups are drawn, with replacement.

    Args:
        groups: The group (patient, lesion) of each image, (N,).

    Returns:
        Counts (B, N), the same for the same groups.
    """
    codes, _ = pd.factorize(np.asarray(groups, dtype=object))
    number = int(codes.max(initial=-1)) + 1
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(number, np.full(number, 1 / number), size=DRAWS)
    return drawn[:, codes].astype(np.float64)


def estimate(seeds: Sequence[Ratios], weights: NDArray[np.float64]) -> Estimate:
    """Mean over seeds with a hierarchical bootstrap interval: seeds are drawn first, then groups of images.

    Args:
        seeds: The statistic of each training seed, over the same images.
        weights: From :func:`image_weights`.
    """
    whole = np.ones((1, weights.shape[1]))
    value = float(np.mean([ratios.under(whole)[0] for ratios in seeds]))
    replicates = np.stack([ratios.under(weights) for ratios in seeds], axis=1)
    number = len(seeds)
    shares = np.random.default_rng(1).multinomial(number, np.full(number, 1 / number), size=len(weights)) / number
    draws = (np.where(shares > 0, replicates, 0.0) * shares).sum(axis=1)
    known = draws[np.isfinite(draws)]
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(known) else (np.nan, np.nan)
    return Estimate(
        value=value,
        low=float(low),
        high=float(high),
        images=max(ratios.images for ratios in seeds),
        undefined=sum(ratios.undefined for ratios in seeds),
        draws=draws,
    )


def rank_intervals(draws: NDArray[np.float64], *, higher_is_better: bool) -> NDArray[np.int64]:
    """Interval of each row's rank over the draws of the shared bootstrap.

    Args:
        draws: (rows, B).
        higher_is_better: Whether the largest value ranks first.

    Returns:
        Best and worst rank (rows, 2) of the central 95 % of the draws, counted from 1; rows without a value last.
    """
    ordered = np.where(np.isfinite(draws), -draws if higher_is_better else draws, np.inf)
    ranks = 1 + (ordered[None, :, :] < ordered[:, None, :]).sum(axis=1)
    ends = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1, method="nearest")
    return ends.T.astype(np.int64)
