"""Tests and effects by ranks: Wilcoxon's signed-rank test and the rank-biserial correlation of many pairs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata, wilcoxon

EXACT = 50
"""Up to so many groups scipy chooses Wilcoxon's null distribution by what else it is given."""


def signed_ranks(by_group: Sequence[NDArray[np.float64]]) -> list[float]:
    """P-values of Wilcoxon's signed-rank test; 1 where no group differs, NaN for fewer than two groups."""
    return [p for p, _ in rank_tests(by_group)]


def rank_tests(by_group: Sequence[NDArray[np.float64]]) -> list[tuple[float, float]]:
    """P-value of :func:`signed_ranks` and :func:`rank_biserials` of each pair; many groups are ranked once for both."""
    found = [(np.nan if len(each) < 2 else 1.0, 0.0) for each in by_group]
    for number, places in _by_length(by_group, [bool(each.any()) for each in by_group]).items():
        if number > EXACT:
            tests = _of_many_groups(np.stack([by_group[place] for place in places]))
        else:
            # The choice of scipy for few groups hangs on zeros and ties, of which one row must not decide for another.
            p = [float(wilcoxon(by_group[place]).pvalue) if number > 1 else np.nan for place in places]
            tests = list(zip(p, rank_biserials([by_group[place] for place in places]), strict=True))
        for place, test in zip(places, tests, strict=True):
            found[place] = test
    return found


def _of_many_groups(by_group: NDArray[np.float64]) -> list[tuple[float, float]]:
    """:func:`rank_tests` of differences (P, G) by the normal approximation, which is what scipy takes for so many."""
    known = wilcoxon(by_group, axis=1, alternative="greater", method="asymptotic")
    number = np.count_nonzero(by_group, axis=1)
    ranks = number * (number + 1) / 2
    p, effects = 2 * ndtr(-np.abs(known.zstatistic)), (2 * known.statistic - ranks) / ranks
    return list(zip(p.tolist(), effects.tolist(), strict=True))


def rank_biserials(by_group: Sequence[NDArray[np.float64]]) -> list[float]:
    """Matched-pairs rank-biserial correlations, in [-1, 1]; 0 where no group differs.

    Example:
        >>> rank_biserials([np.array([3.0, 1.0, -2.0, 0.0])])
        [0.3333333333333333]
    """
    found = [0.0] * len(by_group)
    for places in _by_length(by_group, [bool(each.any()) for each in by_group]).values():
        each = np.stack([by_group[place] for place in places])
        # Groups that do not differ have the lowest ranks, and no say.
        ranks = rankdata(np.abs(each), axis=1) - (each == 0).sum(axis=1, keepdims=True)
        above, below = ((ranks * sign).sum(axis=1) for sign in (each > 0, each < 0))
        for place, effect in zip(places, (above - below) / (above + below), strict=True):
            found[place] = float(effect)
    return found


def _by_length(by_group: Sequence[NDArray[np.float64]], wanted: Sequence[bool]) -> dict[int, list[int]]:
    """Places of those that are wanted, by their number of groups."""
    found: dict[int, list[int]] = {}
    for place, (each, known) in enumerate(zip(by_group, wanted, strict=True)):
        if known:
            found.setdefault(len(each), []).append(place)
    return found
