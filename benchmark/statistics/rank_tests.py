"""Rank tests and effect sizes of many pairs: Wilcoxon's signed-rank test and the rank-biserial correlation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata, wilcoxon

MAX_EXACT_GROUPS = 50
"""Up to this number of groups, scipy chooses Wilcoxon's null distribution by zeros and ties of the whole input."""


def signed_ranks(by_group: Sequence[NDArray[np.float64]]) -> list[float]:
    """Computes p-values of Wilcoxon's signed-rank test; 1 where no group differs, NaN for fewer than two groups."""
    return [p for p, _ in rank_tests(by_group)]


def rank_tests(by_group: Sequence[NDArray[np.float64]]) -> list[tuple[float, float]]:
    """Computes the p-value of :func:`signed_ranks` and the effect of :func:`rank_biserials` of each pair.

    Pairs with the same, large number of groups are ranked in one call.
    """
    results = [(np.nan if len(differences) < 2 else 1.0, 0.0) for differences in by_group]
    for num_groups, indices in _differing_by_length(by_group).items():
        if num_groups > MAX_EXACT_GROUPS:
            tests = _asymptotic_tests(np.stack([by_group[index] for index in indices]))
        else:
            # scipy chooses the null distribution by all rows of an array. One call per pair makes the result of a pair
            # independent of the other ones.
            p = [float(wilcoxon(by_group[index]).pvalue) if num_groups > 1 else np.nan for index in indices]
            tests = list(zip(p, rank_biserials([by_group[index] for index in indices]), strict=True))
        for index, test in zip(indices, tests, strict=True):
            results[index] = test
    return results


def _asymptotic_tests(by_group: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Computes :func:`rank_tests` of differences (P, G) by the normal approximation, scipy's choice for many groups."""
    result = wilcoxon(by_group, axis=1, alternative="greater", method="asymptotic")
    num_nonzero = np.count_nonzero(by_group, axis=1)
    rank_sum = num_nonzero * (num_nonzero + 1) / 2
    p, effects = 2 * ndtr(-np.abs(result.zstatistic)), (2 * result.statistic - rank_sum) / rank_sum
    return list(zip(p.tolist(), effects.tolist(), strict=True))


def rank_biserials(by_group: Sequence[NDArray[np.float64]]) -> list[float]:
    """Computes matched-pairs rank-biserial correlations, in [-1, 1]; 0 where no group differs.

    Example:
        >>> rank_biserials([np.array([3.0, 1.0, -2.0, 0.0])])
        [0.3333333333333333]
    """
    effects = [0.0] * len(by_group)
    for indices in _differing_by_length(by_group).values():
        differences = np.stack([by_group[index] for index in indices])
        # Groups without a difference have the lowest ranks. They are dropped, and the other ranks start at 1.
        ranks = rankdata(np.abs(differences), axis=1) - (differences == 0).sum(axis=1, keepdims=True)
        above, below = ((ranks * sign).sum(axis=1) for sign in (differences > 0, differences < 0))
        for index, effect in zip(indices, (above - below) / (above + below), strict=True):
            effects[index] = float(effect)
    return effects


def _differing_by_length(by_group: Sequence[NDArray[np.float64]]) -> dict[int, list[int]]:
    """Returns the indices of the pairs that differ in any group, by their number of groups."""
    indices: dict[int, list[int]] = {}
    for index, differences in enumerate(by_group):
        if differences.any():
            indices.setdefault(len(differences), []).append(index)
    return indices
