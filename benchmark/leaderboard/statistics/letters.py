"""Groups of rows that cannot be told apart, as letters."""

import string

import numpy as np
from numpy.typing import NDArray


def cliques(apart: NDArray[np.bool_]) -> list[list[int]]:
    """Sets of rows none of which is told apart from another, largest possible, that cover every such pair.

    Two rows share a set if and only if they are not told apart. Sets may overlap without one following the other: of
    three rows in order, the outer two may be alike and the middle one (measured more surely) differ from one of them.

    Args:
        apart: Which pairs are told apart, (R, R), in the order of the table.

    Returns:
        Rows of each set in order; the sets in the order of their first rows.

    Reference:
        Piepho, An algorithm for a letter-based representation of all-pairwise comparisons, Journal of Computational
        and Graphical Statistics 13, 2004; Gramm et al., Algorithms for compact letter displays, Computational
        Statistics and Data Analysis 52, 2007 (as a cover of a graph by cliques; ours grows them greedily).
    """
    alike = ~apart
    np.fill_diagonal(alike, val=True)
    open_pairs = alike.copy()
    found: list[list[int]] = []
    for row in range(len(apart)):
        while open_pairs[row].any():
            found.append(_grown(alike, open_pairs, row))
            open_pairs[np.ix_(found[-1], found[-1])] = False
    return sorted(found)


def letters(apart: NDArray[np.bool_]) -> list[str]:
    """A compact letter display: rows that share a letter are not told apart, all others are.

    Example:
        >>> letters(np.array([[False, False, True], [False, False, False], [True, False, False]]))
        ['a', 'ab', 'b']
    """
    found: list[list[str]] = [[] for _ in range(len(apart))]
    sets = cliques(apart)
    for number, rows in enumerate(sets):
        for row in rows:
            found[row].append(_letter(number))
    joint = "" if len(sets) <= len(string.ascii_lowercase) else " "
    return [joint.join(each) for each in found]


def _grown(alike: NDArray[np.bool_], open_pairs: NDArray[np.bool_], row: int) -> list[int]:
    """A clique around a row and its first partner that has no set in common with it yet, then in table order."""
    partner = int(np.flatnonzero(open_pairs[row])[0])
    members = sorted({row, partner})
    fits = alike[row] & alike[partner]
    fits[members] = False
    # Rows whose pair with this one is still open come first, so that few sets do.
    for wanted in (open_pairs[row], np.ones(len(alike), dtype=np.bool_)):
        while (candidates := np.flatnonzero(fits & wanted)).size:
            members.append(int(candidates[0]))
            fits &= alike[candidates[0]]
            fits[candidates[0]] = False
    return sorted(members)


def _letter(number: int) -> str:
    """A, b, ..., z, aa, ab, ..."""
    more, last = divmod(number, len(string.ascii_lowercase))
    return (_letter(more - 1) if more else "") + string.ascii_lowercase[last]
