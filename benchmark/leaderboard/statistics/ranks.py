"""What the bootstrap says of ranks: their intervals, who is best, who beats whom."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.leaderboard.statistics.bootstrap import LEVEL


def rank_intervals(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.int64]:
    """Interval of each row's rank over the draws of the shared bootstrap.

    Args:
        draws: (rows, B).
        higher_is_better: Whether the largest value ranks first.

    Returns:
        Best and worst rank (rows, 2) of the central 95 % of the draws, counted from 1; rows without a value last.
    """
    ranks = rankdata(_ascending(draws, higher_is_better=higher_is_better), method="min", axis=0)
    ends = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1, method="nearest")
    return ends.T.astype(np.int64)


def best_share(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.float64]:
    """Share of the draws in which each row is the best one, (rows,); rows that are level share a draw.

    Example:
        >>> best_share(np.array([[0.9, 0.1, 0.5], [0.8, 0.2, 0.5]]), higher_is_better=True)
        array([0.5, 0.5])
    """
    ordered = _ascending(draws, higher_is_better=higher_is_better)
    first = (ordered == ordered.min(axis=0)) & np.isfinite(ordered)
    share: NDArray[np.float64] = (first / np.maximum(first.sum(axis=0), 1)).mean(axis=1)
    return share


def win_shares(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.float64]:
    """Share of the draws in which a row beats another one, (rows, rows); level draws count half.

    Example:
        >>> win_shares(np.array([[0.9, 0.1], [0.8, 0.1]]), higher_is_better=True)
        array([[0.5 , 0.75],
               [0.25, 0.5 ]])
    """
    ordered = _ascending(draws, higher_is_better=higher_is_better)
    return np.stack([((row < ordered) + 0.5 * (row == ordered)).mean(axis=1) for row in ordered])


def _ascending(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.floating]:
    return np.where(np.isfinite(draws), -draws if higher_is_better else draws, np.inf)
