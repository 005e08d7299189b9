"""The cells of the tables for people, which Markdown and LaTeX share."""

import math
from collections.abc import Sequence

from benchmark.escaping import Emphasis, escape_markdown
from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.analysis.masking import MASKED_MARK, is_masked
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate

NO_INTERVAL = "no interval: one group"
"""Replaces the ends of an interval, which needs at least two groups of images."""
MAX_LISTED_MODELS = 100
"""Maximum number of models in the tables for people, best ones first. The CSV files have all models."""


def grid(
    leaderboard: LeaderboardTable, columns: Sequence[Column], *, baselines: bool = True, ranks: bool = True
) -> list[list[str]]:
    """Returns the cells of a table for people: a heading, a line of n, and a line per row.

    The second line has the largest n of each column. Cells with a smaller n state it. Where no row has a significance
    group, the table lacks that column.

    Args:
        leaderboard: The rows.
        columns: The columns to show, of those that any row has.
        baselines: Whether to list the baselines below the models.
        ranks: Whether to show ranks and significance groups.
    """
    rows = list(leaderboard.models[:MAX_LISTED_MODELS])
    rows += [row for row in leaderboard.rows if not row.is_model and baselines]
    columns = [column for column in columns if any(column.name in row.estimates for row in rows)]
    max_images = {
        c.name: max((r.estimates[c.name].images for r in rows if c.name in r.estimates), default=0) for c in columns
    }
    has_degenerate = any(row.degenerate for row in rows) and RANKED_BY in max_images
    has_letters = any(row.letters.get(RANKED_BY) for row in rows)
    places = ["rank", "significance group"][: 1 + has_letters] if ranks else []
    table = [
        [*places, "model", "regime", *(column.heading for column in columns)],
        [*[""] * len(places), Emphasis("images"), "", *(Emphasis(f"n = {max_images[c.name]}") for c in columns)],
    ]
    for row in rows:
        names = (
            [row.name + _dagger(row, leaderboard), _title(row, leaderboard)]
            if row.is_model
            else [Emphasis(row.name), Emphasis("baseline")]
        )
        cells = [_cell(row.estimates.get(c.name), max_images[c.name]) for c in columns]
        table.append([*[_rank(row), row.letters.get(RANKED_BY, "")][: len(places)], *names, *cells])
    if has_degenerate:
        counts = ["" if row.degenerate is None else str(row.degenerate) for row in rows]
        for line, cell in zip(table, ["degenerate maps", "", *counts], strict=True):
            line.append(cell)
    return table


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a Markdown table, with the cells escaped. The first line of cells is its heading."""
    lines = ["| " + " | ".join(map(_markdown_cell, cells)) + " |" for cells in table]
    return [lines[0], "| " + " | ".join(["---"] * len(table[0])) + " |", *lines[1:]]


def _markdown_cell(cell: str) -> str:
    return f"*{escape_markdown(cell)}*" if isinstance(cell, Emphasis) else escape_markdown(cell)


def _rank(row: Row) -> str:
    ends = f" ({row.rank_interval[0]}-{row.rank_interval[1]})" if row.rank_interval else ""
    return f"{row.rank}{ends}" if row.rank else ""


def _title(row: Row, leaderboard: LeaderboardTable) -> str:
    """Returns the title of the regime, with the badge of a submission, and the origin where rows differ in it."""
    return ", ".join(filter(None, (row.title, row.badge, leaderboard.distinguishing_origin(row))))


def _dagger(row: Row, leaderboard: LeaderboardTable) -> str:
    return ("" if beats_chance(row, leaderboard) else " †") + (f" {MASKED_MARK}" if is_masked(row) else "")


def _cell(estimate: Estimate | None, max_images: int) -> str:
    if estimate is None or not math.isfinite(estimate.value):
        return "-"
    n = f", n = {estimate.images}" if estimate.images != max_images else ""
    low, high = digits(estimate.low, 3), digits(estimate.high, 3)
    ends = f"{low}, {high}" if math.isfinite(estimate.low) else NO_INTERVAL
    return f"{digits(estimate.value, 3)} [{ends}{n}]"


def digits(number: float, num_digits: int) -> str:
    """Formats a number with a fixed number of decimals; empty if it is not finite.

    Example:
        >>> digits(-0.0004, 3), digits(float("nan"), 3)
        ('0.000', '')
    """
    # + 0.0 turns -0.0 into 0.0.
    return f"{round(number, num_digits) + 0.0:.{num_digits}f}" if math.isfinite(number) else ""
