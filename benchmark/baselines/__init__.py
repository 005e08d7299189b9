"""Rows that no model made: what a trivial map, an untrained network and a rater would score."""

CONSTANT = "constant 0.5"
NOISE = "uniform noise"
EDGES = "edges of the image"
RATER = "one rater against the others"
AGAIN = "one rater against his first reading"
UNTRAINED = "untrained networks"
"""Their names; that of a Gaussian says how wide it is."""
CEILING = "ceiling of a"


def ceiling_name(rows: int, columns: int) -> str:
    """Name of the best that maps of a grid can do.

    Example:
        >>> ceiling_name(3, 3)
        'ceiling of a 3 x 3 grid'
    """
    return f"{CEILING} {rows} x {columns} grid"


def uses_masks(name: str) -> bool:
    """Whether a baseline was made from masks: no map of a model is expected to reach it.

    Example:
        >>> sees_masks(ceiling_name(3, 3)), sees_masks(RATER), sees_masks(CONSTANT)
        (True, True, False)
    """
    return name in {RATER, AGAIN} or name.startswith(f"{CEILING} ")
