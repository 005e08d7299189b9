"""Text in records: no control characters, no direction marks, and no letters that look like others in names."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
"""Names of entries and maps from elsewhere. ASCII has no letters that look alike but for l and 1, o and 0."""
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,=+# -]{0,62}")
HASH = re.compile(r"[0-9a-f]{16}")
DIGEST = re.compile(r"[0-9a-f]{64}")
MARKUP = re.compile(r"[<>|`]")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of Unicode: control characters, direction marks and zero widths, surrogates, unknown ones, line breaks."""


def is_invisible(text: str) -> bool:
    r"""Returns whether a text has a character that a reader does not see, or that changes how others are shown.

    Example:
        >>> is_invisible("a\u202eb"), is_invisible("a\x9bb"), is_invisible("Actinic keratosis, Größe")
        (True, True, False)
    """
    return not text.isprintable() and any(unicodedata.category(char) in _INVISIBLE for char in text)


def texts_of(content: Any) -> Iterator[str]:
    """Yields every text in parsed JSON, keys too."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield str(key)
            yield from texts_of(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from texts_of(value)
