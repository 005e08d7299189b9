"""Kendall's rank correlation in each draw of the bootstrap."""

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.intervals import LEVEL
from benchmark.statistics.resampling import DRAWS

CHUNK_SIZE = 4_000_000
"""Maximum number of differences between models that are held at once."""
MAX_PAIRS = 50_000
"""Maximum number of pairs of models in each draw: all pairs of 316 models. A sample of them errs by .004 in tau."""
MAX_SIGNS = 100_000_000
"""Maximum number of differences between models over all draws. It allows all draws for up to 316 models."""
MIN_DRAWS = 400


def kendall_taus(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Computes Kendall's tau-b (B,) of two scores of models (M, B), draw by draw; NaN where one of them is constant.

    Of very many models, a sample of the pairs counts, see :func:`model_pairs`.
    """
    num_models, num_draws = one.shape
    upper = model_pairs(num_models)
    step = max(1, CHUNK_SIZE // len(upper[0]))
    taus = []
    for start in range(0, num_draws, step):
        first, second = (
            np.sign(part.take(upper[0], axis=0) - part.take(upper[1], axis=0))
            for part in (scores[:, start : start + step] for scores in (one, other))
        )
        weight = np.sqrt((first != 0).sum(axis=0, dtype=np.float64) * (second != 0).sum(axis=0))
        total = (first * second).sum(axis=0, dtype=np.float64)
        taus.append(np.divide(total, weight, out=np.full(weight.shape, np.nan), where=weight > 0))
    return np.concatenate(taus)


def model_pairs(num_models: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the indices of all pairs of models, or of a random sample of :data:`MAX_PAIRS` of them, always the same.

    Example:
        >>> model_pairs(3)[1].tolist(), len(model_pairs(400)[0])
        ([1, 2, 2], 50000)
    """
    one, other = np.triu_indices(num_models, 1)
    if len(one) <= MAX_PAIRS:
        return one, other
    sample = np.sort(np.random.default_rng(0).choice(len(one), MAX_PAIRS, replace=False))
    return one[sample], other[sample]


def num_draws_for(num_models: int) -> int:
    """Returns the number of draws for the interval of a rank correlation, which is smaller for very many models."""
    return int(np.clip(MAX_SIGNS // max(1, num_models * (num_models - 1) // 2), MIN_DRAWS, DRAWS))


def central_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the ends of the central 95 % of the finite values; NaN without any."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.nan, np.nan
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
