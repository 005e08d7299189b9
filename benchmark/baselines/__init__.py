"""Baselines: rows of a table for trivial maps, untrained networks and raters."""

CONSTANT = "constant 0.5"
NOISE = "uniform noise"
EDGES = "edges of the image"
RATER = "one rater against the others"
AGAIN = "one rater against his first reading"
UNTRAINED = "untrained networks"
"""Names of the baselines. The name of a Gaussian includes its width."""
CEILING = "ceiling of a"


def ceiling_name(rows: int, columns: int) -> str:
    """Returns the name of the ceiling of a grid: the best score that its maps can reach.

    Example:
        >>> ceiling_name(3, 3)
        'ceiling of a 3 x 3 grid'
    """
    return f"{CEILING} {rows} x {columns} grid"


def uses_masks(name: str) -> bool:
    """Returns whether a baseline uses masks. No map of a model is expected to reach it.

    Example:
        >>> uses_masks(ceiling_name(3, 3)), uses_masks(RATER), uses_masks(CONSTANT)
        (True, True, False)
    """
    return name in {RATER, AGAIN} or name.startswith(f"{CEILING} ")
