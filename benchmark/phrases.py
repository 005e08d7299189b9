"""Phrases of messages: a number with its noun, and the first of many names."""

from collections.abc import Sequence


def format_count(number: int, one: str, several: str = "") -> str:
    """Formats a number with its noun, or with noun and verb.

    Args:
        number: The number.
        one: What follows 1.
        several: What follows any other number. Empty adds an s to the noun.

    Example:
        >>> format_count(1, "model"), format_count(2, "model"), format_count(0, "map is bad", "maps are bad")
        ('1 model', '2 models', '0 maps are bad')
    """
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def format_names(names: Sequence[str], shown: int) -> str:
    """Lists the first names, and counts the others.

    Example:
        >>> format_names(["a", "b", "c"], 2), format_names(["a"], 1)
        ('a, b and 1 more', 'a')
    """
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
