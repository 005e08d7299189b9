"""How everything made from rendered images says so: the long stamp, the short mark and the suffix of a name."""

MARK = "SYNTHETIC DATA"
"""Where there is room for two words."""
STAMP = f"{MARK}: the images were rendered by a program, not photographed. No number says anything of patients."
"""Where there is room for a sentence."""
SUFFIX = "(SYNTHETIC)"
"""Behind the name of the data set, in files that programs read."""


def named(dataset: str, *, synthetic: bool) -> str:
    """Name of the data set in a CSV file.

    Example:
        >>> named("dermsynth", synthetic=True), named("dermxdb", synthetic=False)
        ('dermsynth (SYNTHETIC)', 'dermxdb')
    """
    return f"{dataset} {SUFFIX}" if synthetic else dataset


def marked(title: str, *, synthetic: bool) -> str:
    """Title of a picture.

    Example:
        >>> marked("dermsynth: maps", synthetic=True)
        'dermsynth: maps - SYNTHETIC DATA'
    """
    return f"{title} - {MARK}" if synthetic else title


def stamped(text: str, *, synthetic: bool) -> str:
    """Text with the stamp behind it."""
    return f"{text} {STAMP}" if synthetic else text
