"""The tables as CSV files: every row and column, for programs."""

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
"""The kind of such a row in the CSV files."""
MAX_PAIRED_MODELS = 150
"""So many models have their pairs listed: 11,175 lines."""


def to_csv(leaderboard: LeaderboardTable) -> str:
    """Every row and column with value, ends of the 95 % interval, n and the number of undefined scores."""
    parts = ("", "_low", "_high", "_n", "_undefined")
    fixed = ["data", "method", "kind", "name", "regime", "regime_title", "seeds", "rank_best", "rank_worst"]
    lines: list[list[object]] = [
        [
            *fixed,
            *(column.name + part for column in leaderboard.columns for part in parts),
            "p_best",
            *(f"{column.name}_group" for column in HEADLINES),
            "degenerate_maps",
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
    return line


def contrasts_csv(leaderboards: Sequence[LeaderboardTable], contrasts: Sequence[Sequence[Contrast]]) -> str:
    """Standard training against each other regime: a line per method, column, regime and architecture."""
    lines: list[list[object]] = [list(CONTRAST_HEADING)]
    for leaderboard, of_board in zip(leaderboards, contrasts, strict=True):
        for each in of_board:
            known = each.difference
            line: list[object] = [data_name(leaderboard), leaderboard.method, each.column.name, each.regime, each.name]
            line += [digits(number, 6) for number in (known.value, known.low, known.high)]
            line += [_p(p) for p in (known.p, each.adjusted, known.wilcoxon, each.wilcoxon_adjusted)]
            lines.append([*line, digits(known.effect, 6), known.groups, each.verdict])
    return as_csv(lines)


def pairs_csv(leaderboard: LeaderboardTable) -> str:
    """Every pair of models by F1: difference, p-values, how often the first beats the second in the bootstrap.

    Of very many models no pairs are listed; the letters of leaderboard.csv say the same.
    """
    models, pairs = leaderboard.models, leaderboard.pairs
    lines: list[list[object]] = [["data", "method", "first", "second", "difference", "p", "p_holm", "win", "verdict"]]
    known = [row.estimates.get(RANKED_BY) for row in models]
    if 1 < len(models) <= MAX_PAIRED_MODELS and all(known):
        wins = win_fractions(np.stack([each.draws for each in known if each]), higher_is_better=True)
        values = [each.value for each in known if each]
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
                verdict = "told apart" if pairs.significant[one, other] else "not told apart"
                lines.append([*line, digits(wins[one, other], 4), verdict])
    return as_csv(lines)


def as_csv(lines: Sequence[Sequence[object]]) -> str:
    """Lines of cells as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def data_name(leaderboard: LeaderboardTable) -> str:
    """Name of the data set; what is synthetic says so."""
    return named(leaderboard.record.dataset, synthetic=leaderboard.record.synthetic)


def _csv_cells(known: Estimate | None) -> list[object]:
    if known is None:
        return [""] * 5
    return [*(digits(number, 6) for number in (known.value, known.low, known.high)), known.images, known.undefined]


def _p(number: float) -> str:
    return f"{number:.3g}" if math.isfinite(number) else ""
