"""In what two published contents differ, in words."""

import csv
import json
from collections.abc import Sequence

Content = dict[str, object]
"""What is published, by name, but for times."""


def differing(found: Content, expected: Content) -> list[str]:
    """Describes what differs: what is missing, what is too much, and where the content is another."""
    missing = [f"{name}: missing" for name in expected.keys() - found.keys()]
    added = [f"{name}: not expected" for name in found.keys() - expected.keys()]
    common = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
    return sorted([*missing, *added, *(f"{name}: {describe_change(found[name], expected[name])}" for name in common)])


def describe_change(found: object, expected: object) -> str:
    """Says in which keys of JSON, columns of CSV or lines of text two contents differ."""
    texts = [text_of(each) for each in (found, expected)]
    try:
        one, other = (dict(json.loads(text)) for text in texts)
    except (ValueError, TypeError):
        return describe_lines(*(text.splitlines() for text in texts))
    return "other " + ", ".join(sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key)))


def text_of(content: object) -> str:
    """Content as text. Each item of a list has its line."""
    if isinstance(content, bytes):
        return content.decode("utf-8", "replace")
    return "\n".join(map(str, content)) if isinstance(content, list) else str(content)


def describe_lines(found: Sequence[str], expected: Sequence[str]) -> str:
    """Says in which columns two tables differ, or which lines only one of two texts has."""
    one, other = (list(csv.reader(lines)) for lines in (found, expected))
    if one and other and len(one[0]) > 1 and one[0] == other[0] and len(one) == len(other):
        rows = [row for row in zip(one[1:], other[1:], strict=True) if row[0] != row[1]]
        columns = {name for a, b in rows for name, x, y in zip(one[0], a, b, strict=False) if x != y}
        return f"{len(rows)} rows with other {', '.join(sorted(columns))}"
    lines = [
        f"{sign}{line[:100]}"
        for sign, a, b in (("+", found, expected), ("-", expected, found))
        for line in a
        if line not in b
    ]
    return f"{len(lines)} lines differ: {lines[:4]}"
