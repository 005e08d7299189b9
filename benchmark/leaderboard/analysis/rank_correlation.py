"""Kendall's rank correlation in each draw of the bootstrap."""

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.intervals import LEVEL
from benchmark.statistics.resampling import DRAWS

CHUNK_SIZE = 4_000_000
MAX_SIGNS = 100_000_000
"""So many differences between models are looked at, over all draws of the bootstrap: all draws of 316 models."""
MIN_DRAWS = 400


def kendall_taus(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Kendall's tau-b (B,) of two scores of models (M, B), draw by draw; NaN where one of them is constant."""
    number, draws = one.shape
    upper = np.triu_indices(number, 1)
    step = max(1, CHUNK_SIZE // len(upper[0]))
    found = []
    for start in range(0, draws, step):
        first, second = (
            np.sign(v[upper[0], start : start + step] - v[upper[1], start : start + step]) for v in (one, other)
        )
        weight = np.sqrt((first != 0).sum(axis=0, dtype=np.float64) * (second != 0).sum(axis=0))
        total = (first * second).sum(axis=0, dtype=np.float64)
        found.append(np.divide(total, weight, out=np.full(weight.shape, np.nan), where=weight > 0))
    return np.concatenate(found)


def num_draws_for(models: int) -> int:
    """How many draws of the bootstrap an interval of a rank correlation of so many models is taken from."""
    return int(np.clip(MAX_SIGNS // max(1, models * (models - 1) // 2), MIN_DRAWS, DRAWS))


def central_interval(found: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the central 95 % of what is a number; NaN of nothing."""
    known = found[np.isfinite(found)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
