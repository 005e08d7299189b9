"""Exports the tables as CSV files with all rows and columns, for programs."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.escaping import csv_text
from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.columns import HEADLINES, RANKED_BY
from benchmark.leaderboard.export.grid import digits
from benchmark.leaderboard.synthetic import named
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.tests import all_pairs

CONTRAST_HEADING = (
    *("data", "method", "column", "regime", "architecture", "difference", "low", "high"),
    *("p", "p_holm", "rank_biserial", "images", "groups", "scope", "verdict"),
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
    """Returns all rows and columns, with value, ends of the 95 % interval, n and the number of undefined scores.

    The column `interval` is what the interval of map F1 holds over. Of headline columns, `_common` is the mean over the
    images that all models have, where some lack some.
    """
    parts = ("", "_low", "_high", "_n", "_undefined")
    fixed = [
        "data",
        "method",
        "kind",
        "name",
        "regime",
        "regime_title",
        "seeds",
        "rank",
        "rank_best",
        "rank_worst",
        "interval",
    ]
    lines: list[list[object]] = [
        [
            *fixed,
            *(column.name + part for column in leaderboard.columns for part in parts),
            *(f"{column.name}_significance_group" for column in HEADLINES),
            *(column.name + part for column in HEADLINES for part in ("_common", "_common_n")),
            "degenerate_maps",
            *GRID_COLUMNS,
            "origin",
        ]
    ]
    lines += [_csv_line(leaderboard, row, "model" if row.is_model else "baseline") for row in leaderboard.rows]
    unranked = [replace(row, rank=None, rank_interval=None, letters={}) for row in leaderboard.other_protocol_models]
    lines += [_csv_line(leaderboard, row, OTHER_PROTOCOL) for row in unranked]
    return csv_text(lines)


def _csv_line(leaderboard: LeaderboardTable, row: Row, kind: str) -> list[object]:
    seeds = " ".join(map(str, row.seeds))
    line: list[object] = [data_name(leaderboard), leaderboard.method, kind, row.name, row.regime, row.title, seeds]
    line += [row.rank or "", *(row.rank_interval or ("", ""))]
    line.append(row.estimates[RANKED_BY].kind if RANKED_BY in row.estimates else "")
    for column in leaderboard.columns:
        line += _csv_cells(row.estimates.get(column.name))
    line += [row.letters.get(column.name, "") for column in HEADLINES]
    for column in HEADLINES:
        value, count = row.common.get(column.name, (math.nan, 0))
        line += [digits(value, 6), count or ""]
    line.append("" if row.degenerate is None else row.degenerate)
    return [*line, *_grid_cells(row), row.origin]


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
            line += [_p(test.p), _p(contrast.adjusted), digits(test.effect, 6), test.images, test.groups]
            lines.append([*line, test.scope, contrast.verdict])
    return csv_text(lines)


def pairs_csv(leaderboard: LeaderboardTable) -> str:
    """Returns all pairs of models with a rank, by map F1: difference on their common images, and p-values.

    Where the variance between trainings is unknown, the pairs are of these trainings, and the scope says so. Pairs of
    more than :data:`MAX_PAIRED_MODELS` models are not listed.
    """
    models, scope = leaderboard.ranked, leaderboard.scope
    lines: list[list[object]] = [
        ["data", "method", "first", "second", "difference", "images", "p", "p_holm", "scope", "verdict"]
    ]
    if not 1 < len(models) <= MAX_PAIRED_MODELS:
        return csv_text(lines)
    pairs = all_pairs([row.estimates[RANKED_BY] for row in models], scope=scope)
    words = "" if scope == "models" else " in these trainings"
    significant = pairs.significant
    for one, other in zip(*np.triu_indices(len(models), 1), strict=True):
        line: list[object] = [data_name(leaderboard), leaderboard.method, models[one].label, models[other].label]
        line += [digits(pairs.value[one, other], 6), pairs.images[one, other]]
        line += [_p(pairs.p[one, other]), _p(pairs.adjusted[one, other]), scope]
        verdict = f"{'' if significant[one, other] else 'not '}significantly different{words}"
        lines.append([*line, verdict if math.isfinite(pairs.p[one, other]) else "no test: one training"])
    return csv_text(lines)


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
