"""Imputation of a few missing pixels by a direct solver, whose equations have the missing pixels alone."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

WEIGHTS = {
    (down, right): 1 / 6 if down == 0 or right == 0 else 1 / 12
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
}
"""The weight of each neighbor, as in :mod:`metrics.imputation`, by its offset."""
OUTSIDE, OBSERVED = -2, -1


def solve_missing(observed: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns the missing pixels, each the weighted mean of its neighbors, missing or not.

    The matrix is symmetric and positive definite. So it needs no pivots, and an ordering by minimum degree keeps its
    factors sparse.

    Args:
        observed: Channels, (C, H, W), zero where a pixel is missing.
        missing: (H, W). At least one pixel is missing, and one is not.

    Returns:
        Values of the missing pixels, (C, n), in raster order.

    Example:
        >>> missing = np.array([[False, True, False]])
        >>> solve_missing(np.array([[[1.0, 0.0, 3.0]]]), missing).round(3).tolist()
        [[2.0]]
    """
    rows, columns = np.nonzero(missing)
    # The index of the unknown of each pixel. A border of one pixel makes all pixels have eight neighbors.
    unknowns = np.pad(np.full(missing.shape, OBSERVED), 1, constant_values=OUTSIDE)
    unknowns[rows + 1, columns + 1] = np.arange(len(rows))
    channels = np.pad(observed, ((0, 0), (1, 1), (1, 1)))
    diagonal, target = np.zeros(len(rows)), np.zeros((len(rows), len(observed)))
    entries = []
    for (down, right), weight in WEIGHTS.items():
        neighbors = rows + 1 + down, columns + 1 + right
        others = unknowns[neighbors]
        diagonal += weight * (others != OUTSIDE)
        target += weight * channels[:, *neighbors].T
        pairs = np.flatnonzero(others >= 0)
        entries.append((pairs, others[pairs], np.full(len(pairs), -weight)))
    every = np.arange(len(rows))
    row, column, value = (np.concatenate(parts) for parts in zip(*entries, (every, every, diagonal), strict=True))
    matrix = coo_array((value, (row, column)), shape=(len(rows), len(rows))).tocsc()
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(factors.solve(target).T)
