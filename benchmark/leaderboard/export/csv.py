"""Exports the tables as CSV files with all rows and columns, for programs."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.columns import HEADLINES, RANKED_BY
from benchmark.leaderboard.export.grid import digits
from benchmark.leaderboard.synthetic import named
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.ranks import win_fractions

CONTRAST_HEADING = (
    *("data", "method", "column", "regime", "architecture", "difference", "low", "high"),
    *("p", "p_holm", "wilcoxon", "wilcoxon_holm", "rank_biserial", "groups", "verdict"),
)
OTHER_PROTOCOL = "model of another protocol"
"""The value of `kind` for such a row in the CSV files."""
GRID_COLUMNS = (
    "alignment",
    *("displacement_down", "displacement_right"),
    *("outer_offset_down", "outer_offset_right"),
)
"""Columns about the grid of the target layer, in pixels. See :class:`benchmark.storage.record.Alignment`."""
MAX_PAIRED_MODELS = 150
"""Maximum number of models whose pairs are listed: 11,175 lines."""


def to_csv(leaderboard: LeaderboardTable) -> str:
    """Returns all rows and columns, with value, ends of the 95 % interval, n and the number of undefined scores."""
    parts = ("", "_low", "_high", "_n", "_undefined")
    fixed = ["data", "method", "kind", "name", "regime", "regime_title", "seeds", "rank_best", "rank_worst"]
    lines: list[list[object]] = [
        [
            *fixed,
            *(column.name + part for column in leaderboard.columns for part in parts),
            "p_best",
            *(f"{column.name}_significance_group" for column in HEADLINES),
            "degenerate_maps",
            *GRID_COLUMNS,
        ]
    ]
    lines += [_csv_line(leaderboard, row, "model" if row.is_model else "baseline") for row in leaderboard.rows]
    unranked = [replace(row, rank=None, best=None, letters={}) for row in leaderboard.other_protocol_models]
    lines += [_csv_line(leaderboard, row, OTHER_PROTOCOL) for row in unranked]
    return as_csv(lines)


def _csv_line(leaderboard: LeaderboardTable, row: Row, kind: str) -> list[object]:
    seeds = " ".join(map(str, row.seeds))
    line: list[object] = [data_name(leaderboard), leaderboard.method, kind, row.name, row.regime, row.title, seeds]
    line += row.rank or ("", "")
    for column in leaderboard.columns:
        line += _csv_cells(row.estimates.get(column.name))
    line.append("" if row.best is None else digits(row.best, 4))
    line += [row.letters.get(column.name, "") for column in HEADLINES]
    line.append("" if row.degenerate is None else row.degenerate)
    return line + _grid_cells(row)


def _grid_cells(row: Row) -> list[object]:
    """Returns the values of :data:`GRID_COLUMNS`, which are empty where the grid is unknown."""
    alignment = row.alignment
    if alignment is None or alignment.displacement is None or alignment.outer_offset is None:
        return [alignment.method if alignment else "", "", "", "", ""]
    return [alignment.method, *(digits(pixels, 2) for pixels in (*alignment.displacement, *alignment.outer_offset))]


def contrasts_csv(leaderboards: Sequence[LeaderboardTable], contrasts: Sequence[Sequence[Contrast]]) -> str:
    """Returns standard training against each other regime: a line per method, column, regime and architecture."""
    lines: list[list[object]] = [list(CONTRAST_HEADING)]
    for leaderboard, table_contrasts in zip(leaderboards, contrasts, strict=True):
        for contrast in table_contrasts:
            test = contrast.difference
            line: list[object] = [data_name(leaderboard), leaderboard.method, contrast.column.name]
            line += [contrast.regime, contrast.name]
            line += [digits(value, 6) for value in (test.value, test.low, test.high)]
            line += [_p(p) for p in (test.p, contrast.adjusted, test.wilcoxon, contrast.wilcoxon_adjusted)]
            lines.append([*line, digits(test.effect, 6), test.groups, contrast.verdict])
    return as_csv(lines)


def pairs_csv(leaderboard: LeaderboardTable) -> str:
    """Returns all pairs of models by map F1: difference, p-values, and the fraction of draws that the first one wins.

    Pairs of more than :data:`MAX_PAIRED_MODELS` models are not listed. The significance groups of leaderboard.csv have
    the same information.
    """
    models, pairs = leaderboard.models, leaderboard.pairs
    lines: list[list[object]] = [["data", "method", "first", "second", "difference", "p", "p_holm", "win", "verdict"]]
    estimates = [row.estimates.get(RANKED_BY) for row in models]
    if 1 < len(models) <= MAX_PAIRED_MODELS and all(estimates):
        wins = win_fractions(np.stack([e.draws for e in estimates if e]), higher_is_better=True)
        values = [estimate.value for estimate in estimates if estimate]
        for one in range(len(models)):
            for other in range(one + 1, len(models)):
                line: list[object] = [
                    data_name(leaderboard),
                    leaderboard.method,
                    models[one].label,
                    models[other].label,
                ]
                line += [
                    digits(values[one] - values[other], 6),
                    _p(pairs.p[one, other]),
                    _p(pairs.adjusted[one, other]),
                ]
                verdict = f"{'' if pairs.significant[one, other] else 'not '}significantly different"
                lines.append([*line, digits(wins[one, other], 4), verdict])
    return as_csv(lines)


def as_csv(lines: Sequence[Sequence[object]]) -> str:
    """Formats lines of cells as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def data_name(leaderboard: LeaderboardTable) -> str:
    """Returns the name of the data set, with a suffix for synthetic data."""
    return named(leaderboard.record.dataset, synthetic=leaderboard.record.synthetic)


def _csv_cells(estimate: Estimate | None) -> list[object]:
    if estimate is None:
        return [""] * 5
    numbers = (estimate.value, estimate.low, estimate.high)
    return [*(digits(number, 6) for number in numbers), estimate.images, estimate.undefined]


def _p(p: float) -> str:
    return f"{p:.3g}" if math.isfinite(p) else ""
