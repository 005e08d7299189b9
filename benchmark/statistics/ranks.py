"""Ranks that follow from the tests of all pairs, and shared ranks of equal values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEGLIGIBLE = 1e-9
"""Smaller differences of scores are rounding errors."""


def rank_intervals(better: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Computes the interval of each row's rank from the significant pairs.

    A row ranks behind all rows that are significantly better, and ahead of all that are significantly worse. Where the
    pairs are corrected for their number, all intervals hold at once. Intervals of two rows are disjoint only if the two
    differ significantly.

    Args:
        better: Whether the first row of a pair is significantly better, (R, R); transitive.

    Returns:
        Best and worst rank (R, 2), counted from 1.

    Reference:
        Al Mohamad, Goeman and van Zwet, Simultaneous confidence intervals for ranks with application to ranking
        institutions, Biometrics 78, 2022.

    Example:
        >>> rank_intervals(np.array([[False, False, True], [False, False, False], [False, False, False]])).tolist()
        [[1, 2], [1, 3], [2, 3]]
    """
    return np.stack([1 + better.sum(axis=0), len(better) - better.sum(axis=1)], axis=1)


def shared_ranks(values: Sequence[float]) -> list[int]:
    """Computes the ranks of values in descending order, from 1. Equal values share a rank, and the next ones are free.

    Example:
        >>> shared_ranks([0.9, 0.5, 0.5, 0.1])
        [1, 2, 2, 4]
    """
    ranks: list[int] = []
    for index, value in enumerate(values):
        tied = index > 0 and values[index - 1] - value < NEGLIGIBLE
        ranks.append(ranks[-1] if tied else index + 1)
    return ranks


def transitive_closure(better: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Adds what follows from pairs (R, R): if a is better than b, and b than c, then a is better than c.

    Example:
        >>> transitive_closure(np.array([[False, True, False], [False, False, True], [False, False, False]]))[0, 2]
        np.True_
    """
    closed = better.copy()
    while True:
        steps = closed.astype(np.float32)
        longer = closed | (steps @ steps > 0)
        if np.array_equal(longer, closed):
            return closed
        closed = longer
