"""Labels of everything made from rendered images: the stamp, the short mark and the suffix of a name."""

MARK = "SYNTHETIC DATA"
"""The short mark, for titles."""
STAMP = f"{MARK}: the images were rendered by a program, not photographed. No number says anything about patients."
"""The stamp, for texts."""
SUFFIX = "(SYNTHETIC)"
"""Follows the name of the data set in files that programs read."""


def named(dataset: str, *, synthetic: bool) -> str:
    """Returns the name of the data set in a CSV file.

    Example:
        >>> named("dermsynth", synthetic=True), named("dermxdb", synthetic=False)
        ('dermsynth (SYNTHETIC)', 'dermxdb')
    """
    return f"{dataset} {SUFFIX}" if synthetic else dataset


def marked(title: str, *, synthetic: bool) -> str:
    """Returns the title of a figure.

    Example:
        >>> marked("dermsynth: maps", synthetic=True)
        'dermsynth: maps - SYNTHETIC DATA'
    """
    return f"{title} - {MARK}" if synthetic else title


def stamped(text: str, *, synthetic: bool) -> str:
    """Appends the stamp to the text of synthetic data."""
    return f"{text} {STAMP}" if synthetic else text
