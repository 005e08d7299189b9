r"""Exports the main table for a paper, as LaTeX with booktabs for `\input`."""

import re
from collections.abc import Sequence

from benchmark.leaderboard.analysis.legend import describe_intervals, describe_ranks
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.export.grid import MAX_LISTED_MODELS, grid
from benchmark.leaderboard.synthetic import stamped
from benchmark.leaderboard.table import LeaderboardTable

SPECIAL = re.compile(r"[\\&%$#_{}~^]")
WORDS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
MARKS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"$\dagger$"}


def to_latex(leaderboard: LeaderboardTable, columns: Sequence[Column]) -> str:
    r"""Returns a table environment with caption and label. It needs `\usepackage{booktabs}`.

    The cells are those of the Markdown page. Intervals are in a smaller font.
    """
    head, sizes, *rows = grid(leaderboard, columns)
    num_names = head.index("regime") + 1
    record = leaderboard.record
    caption = (
        f"Saliency maps by {leaderboard.method} on {record.dataset} ({record.images['test']} test images, "
        f"{leaderboard.groups} groups). {describe_intervals(leaderboard)} {describe_ranks(leaderboard)}"
    )
    caption = stamped(caption, synthetic=record.synthetic)
    lines = [
        f"% {record.dataset}, preset {record.preset}, protocol {record.protocol}; needs \\usepackage{{booktabs}}",
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{tab:loupe-{slug(record.dataset)}-{slug(record.preset)}-{slug(leaderboard.method)}}}",
        rf"\begin{{tabular}}{{{'l' * num_names}{'r' * (len(head) - num_names)}}}",
        r"\toprule",
        _line(head),
        _line(sizes),
        r"\midrule",
    ]
    num_models = min(len(leaderboard.models), MAX_LISTED_MODELS)
    for index, row in enumerate(rows):
        if index == num_models:
            lines.append(r"\midrule")
        lines.append(_line(row))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def escaped(text: str) -> str:
    r"""Escapes all special characters of a text.

    Example:
        >>> escaped("resnet50_v2 & 5 %")
        'resnet50\\_v2 \\& 5 \\%'
    """
    plain = SPECIAL.sub(lambda match: WORDS.get(match[0], f"\\{match[0]}"), text)
    for mark, command in MARKS.items():
        plain = plain.replace(mark, command)
    return plain


def slug(text: str) -> str:
    """Turns a name into a part of a label: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _line(cells: Sequence[str]) -> str:
    return " & ".join(_cell(cell) for cell in cells) + r" \\"


def _cell(cell: str) -> str:
    """Converts a cell of the Markdown grid: text between asterisks to italics, intervals to a small font."""
    if len(cell) > 1 and cell.startswith("*") and cell.endswith("*"):
        return rf"\textit{{{escaped(cell.strip('*'))}}}"
    value, opening, rest = cell.partition(" [")
    return f"{escaped(value)} {{\\tiny [{escaped(rest)}}}" if opening else escaped(value)
