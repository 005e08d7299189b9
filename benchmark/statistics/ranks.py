"""Ranks by the bootstrap: their intervals, how often each row is best, how often it beats another."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.statistics.intervals import LEVEL


def rank_intervals(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.int64]:
    """Computes the interval of each row's rank over the draws of the shared bootstrap.

    Args:
        draws: (rows, B).
        higher_is_better: Whether the largest value ranks first.

    Returns:
        Best and worst rank (rows, 2) of the central 95 % of the draws, counted from 1. Rows without a value rank last.
    """
    ranks = rankdata(_ascending(draws, higher_is_better=higher_is_better), method="min", axis=0)
    ends = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1, method="nearest")
    return ends.T.astype(np.int64)


def best_fractions(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.float64]:
    """Computes the fraction of the draws in which each row is the best one, (rows,). Tied rows split a draw.

    Example:
        >>> best_fractions(np.array([[0.9, 0.1, 0.5], [0.8, 0.2, 0.5]]), higher_is_better=True)
        array([0.5, 0.5])
    """
    ordered = _ascending(draws, higher_is_better=higher_is_better)
    first = (ordered == ordered.min(axis=0)) & np.isfinite(ordered)
    fractions: NDArray[np.float64] = (first / np.maximum(first.sum(axis=0), 1)).mean(axis=1)
    return fractions


def win_fractions(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.float64]:
    """Computes the fraction of the draws in which a row beats another one, (rows, rows). Ties count half.

    Example:
        >>> win_fractions(np.array([[0.9, 0.1], [0.8, 0.1]]), higher_is_better=True)
        array([[0.5 , 0.75],
               [0.25, 0.5 ]])
    """
    ordered = _ascending(draws, higher_is_better=higher_is_better)
    return np.stack([((row < ordered) + 0.5 * (row == ordered)).mean(axis=1) for row in ordered])


def _ascending(draws: NDArray[np.floating], *, higher_is_better: bool) -> NDArray[np.floating]:
    """Turns the values so that the least is best, and infinite where there is none."""
    return np.where(np.isfinite(draws), -draws if higher_is_better else draws, np.inf)
