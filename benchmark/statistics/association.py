"""Association of two measurements within strata, linearized so that the bootstrap of a mean applies to it.

Each function returns pseudo-values: one number per observation, whose mean is the coefficient. Their deviations from
that mean are the influence of the observations, including the influence on the ranks of the others. So the mean over
resampled observations has, to first order, the variance of the resampled coefficient.

Reference:
    Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6 (infinitesimal jackknife); DeLong et
    al., Comparing the areas under two or more correlated ROC curves, Biometrics 44, 1988.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def spearman_within(x: Values, y: Values, strata: NDArray[np.integer]) -> Values | None:
    """Computes pseudo-values of Spearman's correlation within strata.

    Ranks are taken within each stratum, so differences between strata do not count.

    Args:
        x: Measurements, (N,), finite.
        y: Other measurements of the same observations, (N,), finite.
        strata: Index of the stratum of each observation, (N,).

    Returns:
        Pseudo-values, (N,), whose mean is the correlation. None if one of the two is constant within all strata.

    Example:
        >>> x = np.array([1.0, 2.0, 3.0, 4.0])
        >>> float(spearman_within(x, np.array([1.0, 3.0, 2.0, 4.0]), np.zeros(4, dtype=int)).mean().round(3))
        0.8
    """
    u, v = np.zeros(len(x)), np.zeros(len(x))
    influence = np.zeros((3, len(x)))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        a, b = (_centered_ranks(values[rows]) for values in (x, y))
        u[rows], v[rows] = a, b
        # An observation also moves the ranks of the others in its stratum.
        influence[0, rows] = _above(x[rows], b) + _above(y[rows], a) - 2 * np.mean(a * b)
        influence[1, rows] = 2 * (_above(x[rows], a) - np.mean(a * a))
        influence[2, rows] = 2 * (_above(y[rows], b) - np.mean(b * b))
    products = np.stack([u * v, u * u, v * v])
    covariance, first, second = products.mean(axis=1) if len(x) else np.zeros(3)
    if first <= 0 or second <= 0:
        return None
    scale = np.sqrt(first * second)
    r = covariance / scale
    changes = products - products.mean(axis=1, keepdims=True) + influence
    return np.asarray(r + (changes[0] / scale - r * (changes[1] / first + changes[2] / second) / 2))


def auc_within(scores: Values, positive: NDArray[np.bool_], strata: NDArray[np.integer]) -> Values | None:
    """Computes pseudo-values of the area under the ROC curve within strata.

    It is the fraction of the pairs of a positive and a negative observation of one stratum in which the positive one
    has the higher score. Ties count half.

    Args:
        scores: (N,), finite.
        positive: (N,).
        strata: Index of the stratum of each observation, (N,).

    Returns:
        Pseudo-values, (N,), whose mean is the area. None if no stratum has both a positive and a negative observation.

    Example:
        >>> scores, positive = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
        >>> float(auc_within(scores, positive, np.zeros(4, dtype=int)).mean())
        0.75
    """
    wins, pairs = np.zeros(len(scores)), np.zeros(len(scores))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        own, won = positive[rows], scores[rows]
        lower = len(won) * _above(-won, (~own).astype(np.float64))
        higher = len(won) * _above(won, own.astype(np.float64))
        wins[rows] = np.where(own, lower, higher)
        pairs[rows] = np.where(own, (~own).sum(), own.sum())
    num_pairs = pairs[positive].sum()
    if not num_pairs:
        return None
    area = wins[positive].sum() / num_pairs
    return np.asarray(area + len(scores) * (wins - area * pairs) / num_pairs)


def _centered_ranks(values: Values) -> Values:
    """Computes ranks as fractions of the number of values, minus a half: their mean is 0. Ties share their mean."""
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(values)) - 0.5)


def _above(values: Values, weights: Values) -> Values:
    """Computes for each value the sum of the weights of all larger values, and half of those of equal ones, over n."""
    order = np.argsort(values, kind="stable")
    ordered, sums = values[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    below, up_to = (sums[np.searchsorted(ordered, values, side)] for side in ("left", "right"))
    return np.asarray((sums[-1] - (below + up_to) / 2) / len(values))
