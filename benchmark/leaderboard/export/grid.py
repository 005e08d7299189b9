"""The cells of the tables that people read: Markdown and LaTeX print the same."""

import math
from collections.abc import Sequence

from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate

MAX_LISTED_MODELS = 100
"""So many models, the best ones, have a row in the tables that people read; the CSV files have all."""


def grid(leaderboard: LeaderboardTable, columns: Sequence[Column], *, baselines: bool = True) -> list[list[str]]:
    """Cells of a table for people: a heading, a line of n, a line per row; Markdown and LaTeX print the same.

    n stands in the second line, and beside a cell where it differs.
    """
    rows = list(leaderboard.models[:MAX_LISTED_MODELS])
    rows += [row for row in leaderboard.rows if not row.is_model and baselines]
    columns = [column for column in columns if any(column.name in row.estimates for row in rows)]
    usual = {
        c.name: max((r.estimates[c.name].images for r in rows if c.name in r.estimates), default=0) for c in columns
    }
    degenerate = any(row.degenerate for row in rows) and RANKED_BY in usual
    table = [
        ["rank", "group", "model", "regime", *(column.heading for column in columns)],
        ["", "", "*images*", "", *(f"*n = {usual[column.name]}*" for column in columns)],
    ]
    for number, row in enumerate(rows, start=1):
        place = f"{number} ({row.rank[0]}-{row.rank[1]})" if row.rank else ""
        names = [row.name + _dagger(row, leaderboard), _title(row)] if row.is_model else [f"*{row.name}*", "*baseline*"]
        cells = [_cell(row.estimates.get(c.name), usual[c.name]) for c in columns]
        table.append([place, row.letters.get(RANKED_BY, ""), *names, *cells])
    if degenerate:
        counts = ["" if row.degenerate is None else str(row.degenerate) for row in rows]
        for line, cell in zip(table, ["degenerate maps", "", *counts], strict=True):
            line.append(cell)
    return table


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first line of cells is its heading."""
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    return [lines[0], "| " + " | ".join(["---"] * len(table[0])) + " |", *lines[1:]]


def _title(row: Row) -> str:
    """The regime, and of a submission its badge."""
    return f"{row.title}, {row.badge}" if row.badge else row.title


def _dagger(row: Row, leaderboard: LeaderboardTable) -> str:
    return "" if beats_chance(row, leaderboard) else " †"


def _cell(known: Estimate | None, usual: int) -> str:
    if known is None or not math.isfinite(known.value):
        return "-"
    fewer = f", n = {known.images}" if known.images != usual else ""
    ends = f"{digits(known.low, 3)}, {digits(known.high, 3)}" if math.isfinite(known.low) else "no interval: one group"
    return f"{digits(known.value, 3)} [{ends}{fewer}]"


def digits(number: float, digits: int) -> str:
    """A number with so many digits; nothing where there is none."""
    return f"{number + 0.0:.{digits}f}" if math.isfinite(number) else ""
