"""Effect sizes of many pairs: the rank-biserial correlation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

RESOLUTION = 1e-5
"""Differences are equal that differ less than this, relative to the largest. Scores have 24 bits, so 3/49 - 2/49 and
1/49 - 0 would else be no ties."""


def rank_biserials(by_group: Sequence[NDArray[np.float64]]) -> list[float]:
    """Computes matched-pairs rank-biserial correlations, in [-1, 1]; 0 where no group differs.

    Pairs with the same number of groups are ranked in one call.

    Example:
        >>> rank_biserials([np.array([3.0, 1.0, -2.0, 0.0])])
        [0.3333333333333333]
    """
    effects = [0.0] * len(by_group)
    for indices in _differing_by_length(by_group).values():
        differences = np.stack([by_group[index] for index in indices])
        differences = np.round(differences / (RESOLUTION * np.abs(differences).max(axis=1, keepdims=True)))
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
