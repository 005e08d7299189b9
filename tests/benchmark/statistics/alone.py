"""One statistic at a time, and by hand: what the tests hold the bootstrap against."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.bootstrap import Estimate, estimates
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import Resampling


def estimate(
    seeds: Sequence[RatioStatistic],
    draws: Resampling,
    *,
    row: str = "",
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """One statistic of one row."""
    return estimates({"": seeds}, draws, row=row, bounds={"": bounds})[""]


def under(ratios: RatioStatistic, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """A statistic (B,) under weights of the images (B, N); NaN where no image has a say."""
    amounts, counts = weights @ ratios.amounts, weights @ ratios.counts
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = amounts / counts
    known = np.isfinite(shares)
    return np.array([row[has].mean() if has.any() else np.nan for row, has in zip(shares, known, strict=True)])
