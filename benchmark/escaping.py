r"""Text from outside in the formats that we write: LaTeX, Markdown, CSV and terminals. One function for each.

Control characters, line breaks and direction marks become visible, such as `\x1b`. What a function returns is one line
that shows its text and does nothing else.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from datasets import printable

if TYPE_CHECKING:
    import pandas as pd

_LATEX_SPECIAL = re.compile(r"[\\&%$#_{}~^<>|\"]")
_LATEX_WORDS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
}
_LATEX_MARKS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"$\dagger$"}

_MARKDOWN_SPECIAL = re.compile(
    r"[\\`*<>|~&$@]"  # code, emphasis, tags, cells, strikethrough, entities, mathematics, addresses
    r"|\[(?![+-]?\d)|\](?=[(\[:])"  # links, but not the interval [0.1, 0.2]
    r"|(?<![^\W_])_|_(?![^\W_])"  # an underscore within a word is no emphasis
    r"|:(?=//)|(?<=www)\."  # addresses that become links by themselves
    r"|^[#=]|^[+-](?=\D)|^\d{1,9}[.)](?=\s|$)",  # headings and lists
    re.IGNORECASE,
)

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = re.compile(r"[\s']*[=+\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\uff0d\uff20]")


class Markdown(str):
    """Text that is Markdown already: of our own words and numbers, or of escaped parts."""

    __slots__ = ()


class Emphasis(str):
    """Text of a table that each format shows in italics, such as the name of a baseline."""

    __slots__ = ()


def escape_latex(text: str) -> str:
    r"""Escapes all special characters of LaTeX. Safe in arguments, cells and comments.

    Example:
        >>> escape_latex("resnet50_v2 & 5 %")
        'resnet50\\_v2 \\& 5 \\%'
    """
    plain = _LATEX_SPECIAL.sub(lambda match: _LATEX_WORDS.get(match[0], f"\\{match[0]}"), printable(text))
    for mark, command in _LATEX_MARKS.items():
        plain = plain.replace(mark, command)
    # At the start of a row, the end of the row before would read these as its arguments.
    return f"{{{plain[0]}}}{plain[1:]}" if plain.startswith(("[", "*")) else plain


def escape_markdown(text: str) -> str:
    r"""Escapes what GitHub's Markdown acts on. :class:`Markdown` stays as it is.

    Example:
        >>> escape_markdown("resnet50_v2"), escape_markdown("[x](y) <b>")
        ('resnet50_v2', '\\[x\\](y) \\<b\\>')
    """
    if isinstance(text, Markdown):
        return text
    return _MARKDOWN_SPECIAL.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", printable(text))


def markdown_code(text: str) -> str:
    """Formats a text as inline code of Markdown.

    Example:
        >>> markdown_code("map_f1")
        '`map_f1`'
    """
    return "`{}`".format(printable(text).replace("`", "'"))


def escape_csv(cell: object) -> object:
    """Puts an apostrophe before a cell that a spreadsheet would compute. Numbers stay as they are.

    Control characters, line breaks and direction marks become visible. :func:`unescape_csv` reverts the rest, so that
    names, which have none of these, survive.

    Example:
        >>> escape_csv("=1+1"), escape_csv("-0.5"), escape_csv(-0.5)
        ("'=1+1", '-0.5', -0.5)
    """
    if not isinstance(cell, str):
        return cell
    text = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), cell)
    return f"'{text}" if _is_formula(text) else text


def unescape_csv(text: str) -> str:
    """Returns the text that :func:`escape_csv` has escaped.

    Example:
        >>> unescape_csv("'=1+1"), unescape_csv("'90s")
        ('=1+1', "'90s")
    """
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    r"""Formats rows of cells as CSV, each cell escaped.

    Example:
        >>> csv_text([["image", "score"], ["@a", -0.5]])
        "image,score\n'@a,-0.5\n"
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([escape_csv(cell) for cell in row] for row in rows)
    return out.getvalue()


def frame_csv(frame: "pd.DataFrame") -> str:
    """Formats a table as CSV without its index, each cell and heading escaped."""
    return frame.map(escape_csv).rename(columns=escape_csv).to_csv(index=False, lineterminator="\n")


def escape_terminal(text: str) -> str:
    r"""Makes what a terminal acts on visible. Line breaks stay.

    Example:
        >>> escape_terminal("a\x1b[31m\nb")
        'a\\x1b[31m\nb'
    """
    return "\n".join(printable(line) for line in text.split("\n"))
