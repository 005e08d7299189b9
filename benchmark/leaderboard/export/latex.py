r"""Exports the main table for a paper, as LaTeX with booktabs for `\input`."""

import re
from collections.abc import Sequence

from benchmark.escaping import Emphasis, escape_latex
from benchmark.leaderboard.analysis.legend import describe_intervals, describe_ranks
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.export.grid import MAX_LISTED_MODELS, grid
from benchmark.leaderboard.synthetic import stamped
from benchmark.leaderboard.table import LeaderboardTable


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
    comment = f"{record.dataset}, preset {record.preset}, protocol {record.protocol}"
    lines = [
        f"% {escape_latex(comment)}; needs \\usepackage{{booktabs}}",
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escape_latex(caption)}}}",
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


def slug(text: str) -> str:
    """Turns a name into a part of a label: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _line(cells: Sequence[str]) -> str:
    return " & ".join(_cell(cell) for cell in cells) + r" \\"


def _cell(cell: str) -> str:
    """Converts a cell of the grid: emphasis to italics, intervals to a small font."""
    if isinstance(cell, Emphasis):
        return rf"\textit{{{escape_latex(cell)}}}"
    value, _, rest = cell.partition(" [")
    is_interval = rest and re.fullmatch(r"-?[\d.]+", value)
    return f"{escape_latex(value)} {{\\tiny [{escape_latex(rest)}}}" if is_interval else escape_latex(cell)
