"""How far scores agree on the order of the models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmark.leaderboard.analysis.rank_correlation import central_interval, num_draws_for
from benchmark.leaderboard.analysis.stability import Stability
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.export.csv import as_csv, data_name
from benchmark.leaderboard.export.grid import digits
from benchmark.leaderboard.table import LeaderboardTable, Row

MAX_MODELS = 10
"""So many models, evenly spaced in the table, are enough for the mean over models within images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Kendall's rank correlation of two scores, both turned so that more is better.

    Attributes:
        one: The first score.
        other: The second one.
        tau: Over the models.
        low: Lower end of its 95 % interval, of the shared bootstrap.
        high: Upper end.
        within: Over the groups of images, mean over the models: do both call the same images well explained?
        models: How many models have both.
    """

    one: Column
    other: Column
    tau: float
    low: float
    high: float
    within: float
    models: int


def compute_agreements(leaderboard: LeaderboardTable) -> list[Agreement]:
    """Every pair of the columns with the flag `agreement` that at least three models have."""
    columns = [column for column in leaderboard.columns if column.agreement]
    if len(leaderboard.models) < 3:
        return []
    drawn = _drawn_taus(leaderboard.models, columns)
    found = []
    for place, one in enumerate(columns):
        for there, other in enumerate(columns[place + 1 :], start=place + 1):
            rows = [row for row in leaderboard.models if row.finite_estimate(one) and row.finite_estimate(other)]
            if len(rows) >= 3:
                found.append(_agreement(one, other, rows, drawn[:, place, there]))
    return found


def agreement_csv(
    leaderboards: Sequence[LeaderboardTable], found: Sequence[Sequence[Agreement]], stable: Sequence[Stability]
) -> str:
    """A line per method and pair of scores, then a line for each change that should not matter."""
    lines: list[list[object]] = [["data", "method", "one", "other", "tau", "low", "high", "within_images", "models"]]
    for leaderboard, of_board in zip(leaderboards, found, strict=True):
        for each in of_board:
            numbers = [digits(number, 4) for number in (each.tau, each.low, each.high, each.within)]
            start = [data_name(leaderboard), leaderboard.method, each.one.name, each.other.name]
            lines.append([*start, *numbers, each.models])
    main = leaderboards[0]
    for stability in stable:
        numbers = [digits(number, 4) for number in (stability.tau, stability.low, stability.high)]
        lines.append([data_name(main), main.method, RANKED_BY, stability.what, *numbers, "", len(main.models)])
    return as_csv(lines)


def _drawn_taus(rows: Sequence[Row], columns: Sequence[Column]) -> NDArray[np.float64]:
    """Kendall's tau-b of every pair of columns in each draw, (B, C, C), over the models that have both.

    For each draw, the signs of all differences between models form a matrix (C, pairs of models): its product with
    itself has the sums for all pairs of columns. With very many models the first draws alone are taken.
    """
    upper = np.triu_indices(len(rows), 1)
    known = np.array([[bool(row.finite_estimate(column)) for row in rows] for column in columns])
    both = (known[:, upper[0]] & known[:, upper[1]]).astype(np.float32)
    number = num_draws_for(len(rows))
    absent = np.zeros(number, dtype=np.float32)
    drawn = [
        [row.estimates[column.name].draws[:number] if has else absent for row, has in zip(rows, of, strict=True)]
        for column, of in zip(columns, known, strict=True)
    ]
    found = np.full((number, len(columns), len(columns)), np.nan)
    with np.errstate(invalid="ignore"):
        for place, draw in enumerate(np.ascontiguousarray(np.moveaxis(np.array(drawn), 2, 0))):
            signs = np.sign(draw[:, upper[0]] - draw[:, upper[1]]) * both
            unknown = np.isnan(signs)
            signs[unknown] = 0
            differing = (signs != 0).astype(np.float32) @ both.T
            weight = np.sqrt(differing.astype(np.float64) * differing.T)
            np.divide(signs @ signs.T, weight, out=found[place], where=weight > 0)
            if unknown.any():
                spoiled = (unknown * both) @ both.T
                found[place][(spoiled > 0) | (spoiled.T > 0)] = np.nan
    return found


def _agreement(one: Column, other: Column, rows: Sequence[Row], drawn: NDArray[np.float64]) -> Agreement:
    sign = -1.0 if (one.higher_is_better is False) != (other.higher_is_better is False) else 1.0
    values = [np.array([row.estimates[column.name].value for row in rows]) for column in (one, other)]
    low, high = central_interval(sign * drawn)
    return Agreement(
        one=one,
        other=other,
        tau=sign * float(kendalltau(values[0], values[1]).statistic),
        low=low,
        high=high,
        within=sign * _within(one, other, rows),
        models=len(rows),
    )


def _within(one: Column, other: Column, rows: Sequence[Row]) -> float:
    """Mean over models of Kendall's tau over the groups of images that both scores tell of."""
    chosen = [rows[place] for place in np.unique(np.linspace(0, len(rows) - 1, MAX_MODELS).astype(int))]
    found = []
    for row in chosen:
        first, second = (_of_groups(row, column) for column in (one, other))
        both = np.isfinite(first) & np.isfinite(second)
        if both.sum() >= 3 and np.ptp(first[both]) and np.ptp(second[both]):
            found.append(float(kendalltau(first[both], second[both]).statistic))
    return float(np.mean(found)) if found else np.nan


def _of_groups(row: Row, column: Column) -> NDArray[np.float64]:
    """Score of each group relative to the whole (G,); NaN for groups without a say."""
    known = row.estimates[column.name]
    expected = known.error.expected.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected != 0, known.error.contributions / expected * np.sign(known.value), np.nan)
