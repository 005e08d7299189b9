r"""The main table for a paper: LaTeX with booktabs, `\input` and done."""

import re
from collections.abc import Sequence

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.export.grid import MAX_LISTED_MODELS, grid
from benchmark.leaderboard.synthetic import stamped
from benchmark.leaderboard.table import LeaderboardTable

SPECIAL = re.compile(r"[\\&%$#_{}~^]")
WORDS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
MARKS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"$\dagger$"}


def to_latex(leaderboard: LeaderboardTable, columns: Sequence[Column]) -> str:
    r"""A table environment with caption and label; needs `\usepackage{booktabs}`.

    The cells are those of the Markdown page. Values stand above their intervals.
    """
    head, sizes, *rows = grid(leaderboard, columns)
    record = leaderboard.record
    caption = (
        f"Saliency maps by {leaderboard.method} on {record.dataset} ({record.images['test']} test images, "
        f"{leaderboard.groups} groups). Mean and 95 % interval (bootstrap over seeds and groups); models that share a "
        "letter are not told apart by F1 (paired tests, Holm, 5 %)."
    )
    caption = stamped(caption, synthetic=record.synthetic)
    lines = [
        f"% {record.dataset}, preset {record.preset}, protocol {record.protocol}; needs \\usepackage{{booktabs}}",
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{tab:loupe-{slug(record.dataset)}-{slug(record.preset)}-{slug(leaderboard.method)}}}",
        rf"\begin{{tabular}}{{llll{'r' * (len(head) - 4)}}}",
        r"\toprule",
        _line(head),
        _line(sizes),
        r"\midrule",
    ]
    models = min(len(leaderboard.models), MAX_LISTED_MODELS)
    for number, row in enumerate(rows):
        if number == models:
            lines.append(r"\midrule")
        lines.append(_line(row))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def escaped(text: str) -> str:
    r"""Text in which nothing is a command.

    Example:
        >>> escaped("resnet50_v2 & 5 %")
        'resnet50\\_v2 \\& 5 \\%'
    """
    plain = SPECIAL.sub(lambda found: WORDS.get(found[0], f"\\{found[0]}"), text)
    for mark, command in MARKS.items():
        plain = plain.replace(mark, command)
    return plain


def slug(text: str) -> str:
    """A name fit for a label."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _line(cells: Sequence[str]) -> str:
    return " & ".join(_cell(cell) for cell in cells) + r" \\"


def _cell(cell: str) -> str:
    """A cell of the Markdown grid: what is between asterisks is set in italics, intervals are set small."""
    if len(cell) > 1 and cell.startswith("*") and cell.endswith("*"):
        return rf"\textit{{{escaped(cell.strip('*'))}}}"
    value, opening, rest = cell.partition(" [")
    return f"{escaped(value)} {{\\tiny [{escaped(rest)}}}" if opening else escaped(value)
