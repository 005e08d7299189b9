"""Compact letter display: significance groups of rows, as letters."""

import string

import numpy as np
from numpy.typing import NDArray


def cliques(significant: NDArray[np.bool_]) -> list[list[int]]:
    """Covers all pairs of rows that do not differ significantly by maximal sets of such rows.

    Two rows share a set if and only if they do not differ significantly. Sets may overlap, and need not be intervals of
    the order. Of three rows, the outer two may be alike while the middle one, measured more precisely, differs from one
    of them.

    Args:
        significant: Which pairs differ significantly, (R, R), in the order of the table.

    Returns:
        Rows of each set in order; the sets in the order of their first rows.

    Reference:
        Piepho, An algorithm for a letter-based representation of all-pairwise comparisons, Journal of Computational
        and Graphical Statistics 13, 2004; Gramm et al., Algorithms for compact letter displays, Computational
        Statistics and Data Analysis 52, 2007 (as a cover of a graph by cliques; ours grows them greedily).
    """
    alike = ~significant
    np.fill_diagonal(alike, val=True)
    open_pairs = alike.copy()
    sets: list[list[int]] = []
    for row in range(len(significant)):
        while open_pairs[row].any():
            sets.append(_grow_clique(alike, open_pairs, row))
            open_pairs[np.ix_(sets[-1], sets[-1])] = False
    return sorted(sets)


def letters(significant: NDArray[np.bool_]) -> list[str]:
    """Returns a compact letter display: rows share a letter if and only if they do not differ significantly.

    Example:
        >>> letters(np.array([[False, False, True], [False, False, False], [True, False, False]]))
        ['a', 'ab', 'b']
    """
    letters_by_row: list[list[str]] = [[] for _ in range(len(significant))]
    sets = cliques(significant)
    for index, rows in enumerate(sets):
        for row in rows:
            letters_by_row[row].append(_letter(index))
    separator = "" if len(sets) <= len(string.ascii_lowercase) else " "
    return [separator.join(row_letters) for row_letters in letters_by_row]


def _grow_clique(alike: NDArray[np.bool_], open_pairs: NDArray[np.bool_], row: int) -> list[int]:
    """Grows a clique from a row and the first partner that shares no set with it yet, in table order."""
    partner = int(np.flatnonzero(open_pairs[row])[0])
    members = sorted({row, partner})
    fits = alike[row] & alike[partner]
    fits[members] = False
    # Rows whose pair with this one is still open come first. This keeps the number of sets small.
    for eligible in (open_pairs[row], np.ones(len(alike), dtype=np.bool_)):
        while (candidates := np.flatnonzero(fits & eligible)).size:
            members.append(int(candidates[0]))
            fits &= alike[candidates[0]]
            fits[candidates[0]] = False
    return sorted(members)


def _letter(index: int) -> str:
    """Returns a, b, ..., z, aa, ab, ..."""
    more, last = divmod(index, len(string.ascii_lowercase))
    return (_letter(more - 1) if more else "") + string.ascii_lowercase[last]
