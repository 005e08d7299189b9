"""Agreement of scores on the order of the models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmark.escaping import csv_text
from benchmark.leaderboard.analysis.rank_correlation import central_interval, model_pairs, num_draws_for
from benchmark.leaderboard.analysis.stability import Stability
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.export.csv import data_name
from benchmark.leaderboard.export.grid import digits
from benchmark.leaderboard.table import LeaderboardTable, Row

MAX_MODELS = 10
"""Maximum number of models, evenly spaced in the table, that the mean over models within images is computed from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Kendall's rank correlation of two scores, both with the sign for which more is better.

    Attributes:
        one: The first score.
        other: The second one.
        tau: Correlation over the models.
        low: Lower end of its 95 % interval, of the shared bootstrap.
        high: Upper end.
        within: Correlation over the groups of images, mean over the models: whether both rate the same images high.
        models: Number of models that have both scores.
    """

    one: Column
    other: Column
    tau: float
    low: float
    high: float
    within: float
    models: int


def compute_agreements(leaderboard: LeaderboardTable) -> list[Agreement]:
    """Computes the agreement of all pairs of columns with the flag `agreement` that at least three models have."""
    columns = [column for column in leaderboard.columns if column.agreement]
    if len(leaderboard.models) < 3:
        return []
    drawn = _drawn_taus(leaderboard.models, columns)
    agreements = []
    for first, one in enumerate(columns):
        for second, other in enumerate(columns[first + 1 :], start=first + 1):
            rows = [row for row in leaderboard.models if row.finite_estimate(one) and row.finite_estimate(other)]
            if len(rows) >= 3:
                agreements.append(_agreement(one, other, rows, drawn[:, first, second]))
    return agreements


def agreement_csv(
    leaderboards: Sequence[LeaderboardTable],
    agreements: Sequence[Sequence[Agreement]],
    stabilities: Sequence[Stability],
) -> str:
    """Returns a line per method and pair of scores, then a line for each change that should not matter."""
    lines: list[list[object]] = [["data", "method", "one", "other", "tau", "low", "high", "within_images", "models"]]
    for leaderboard, table_agreements in zip(leaderboards, agreements, strict=True):
        for agreement in table_agreements:
            values = (agreement.tau, agreement.low, agreement.high, agreement.within)
            start = [data_name(leaderboard), leaderboard.method, agreement.one.name, agreement.other.name]
            lines.append([*start, *(digits(value, 4) for value in values), agreement.models])
    main = leaderboards[0]
    for stability in stabilities:
        cells = [digits(value, 4) for value in (stability.tau, stability.low, stability.high)]
        lines.append([data_name(main), main.method, RANKED_BY, stability.change, *cells, "", len(main.models)])
    return csv_text(lines)


def _drawn_taus(rows: Sequence[Row], columns: Sequence[Column]) -> NDArray[np.float64]:
    """Computes Kendall's tau-b of all pairs of columns in each draw, (B, C, C), over the models that have both.

    For each draw, the signs of all differences between models form a matrix (pairs of models, C). Its product with
    itself has the sums for all pairs of columns. Very many models use the first draws and a sample of their pairs only.
    """
    one, other = model_pairs(len(rows))
    finite = np.array([[bool(row.finite_estimate(column)) for row in rows] for column in columns])
    both = np.ascontiguousarray((finite[:, one] & finite[:, other]).T, dtype=np.float32)
    num_both, without_ties = np.count_nonzero(both), both.T @ both
    has_all, num_draws = num_both == both.size, num_draws_for(len(rows))
    absent = np.zeros(num_draws, dtype=np.float32)
    drawn = [
        [
            row.estimates[column.name].draws[:num_draws] if has else absent
            for row, has in zip(rows, has_column, strict=True)
        ]
        for column, has_column in zip(columns, finite, strict=True)
    ]
    taus = np.full((num_draws, len(columns), len(columns)), np.nan)
    with np.errstate(invalid="ignore"):
        # The columns of a model are next to each other, since copies of whole lines take a tenth of the time.
        for index, draw in enumerate(np.ascontiguousarray(np.array(drawn).transpose(2, 1, 0))):
            signs = np.sign(draw.take(one, axis=0) - draw.take(other, axis=0))
            if not has_all:
                signs *= both
            has_undefined = not np.isfinite(draw).all()
            if has_undefined:
                undefined = np.isnan(signs)
                signs[undefined] = 0
            # Pairs of models without a tie, as tau-b counts them in its denominator.
            has_ties = np.count_nonzero(signs) < num_both
            untied = (signs != 0).astype(np.float32).T @ both if has_ties else without_ties
            weight = np.sqrt(untied.astype(np.float64) * untied.T)
            np.divide(signs.T @ signs, weight, out=taus[index], where=weight > 0)
            if has_undefined:
                invalid = (undefined * both).T @ both
                taus[index][(invalid > 0) | (invalid.T > 0)] = np.nan
    return taus


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
    """Computes the mean over models of Kendall's tau over the groups of images that have both scores."""
    selected = [rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, MAX_MODELS).astype(int))]
    taus = []
    for row in selected:
        first, second = (_group_scores(row, column) for column in (one, other))
        both = np.isfinite(first) & np.isfinite(second)
        if both.sum() >= 3 and np.ptp(first[both]) and np.ptp(second[both]):
            taus.append(float(kendalltau(first[both], second[both]).statistic))
    return float(np.mean(taus)) if taus else np.nan


def _group_scores(row: Row, column: Column) -> NDArray[np.float64]:
    """Computes the score of each group relative to that of all groups, (G,); NaN for groups that do not count."""
    estimate = row.estimates[column.name]
    expected = estimate.error.expected.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected != 0, estimate.error.contributions / expected * np.sign(estimate.value), np.nan)
