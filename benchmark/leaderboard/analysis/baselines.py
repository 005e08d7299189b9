"""The rules for "best baseline" and human ceiling, and the number of models significantly better than the former."""

from dataclasses import dataclass

import numpy as np

from benchmark.baselines import RATER, uses_masks
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.tests import ALPHA, Scope, differences, holm


@dataclass(frozen=True, kw_only=True, slots=True)
class AgainstBaseline:
    """The models against the best baseline.

    Attributes:
        best: The baseline.
        value: Its score.
        better: Labels of the models significantly better than it, by the paired test after Holm over the models.
        below: Number of models that it is significantly better than.
        models: Number of models compared: those with a rank. If the variance between trainings is known of
            any, those alone.
        scope: "models" if new trainings count, "trainings" if their variance is unknown.
    """

    best: Row
    value: float
    better: tuple[str, ...]
    below: int
    models: int
    scope: Scope

    @property
    def above(self) -> int:
        """Number of models significantly better than the baseline."""
        return len(self.better)


def row_kind(row: Row) -> str:
    """Returns "model", "baseline", or "ceiling" for a row that was made from masks."""
    return "model" if row.is_model else "ceiling" if uses_masks(row.name) else "baseline"


def best_baseline(leaderboard: LeaderboardTable, column: Column) -> Row | None:
    """Returns the best row that uses neither a trained model nor masks.

    Returns:
        The row; None without such a row, or where neither end of the column is better.
    """
    rows = [row for row in leaderboard.rows if row_kind(row) == "baseline" and row.finite_estimate(column)]
    if not rows or column.higher_is_better is None:
        return None
    sign = 1 if column.higher_is_better else -1
    return max(rows, key=lambda row: sign * row.estimates[column.name].value)


def human_ceiling(leaderboard: LeaderboardTable, column: Column) -> Row | None:
    """Returns the row of one rater against the others; None with too few raters."""
    return next((row for row in leaderboard.rows if row.name == RATER and row.finite_estimate(column)), None)


def against_baseline(leaderboard: LeaderboardTable) -> AgainstBaseline | None:
    """Compares the models with a rank with the best baseline, by map F1; None without a baseline.

    Where some models have a known variance between trainings, the others are left out.
    """
    best = best_baseline(leaderboard, leaderboard.column(RANKED_BY))
    if best is None:
        return None
    estimate, scope = best.estimates[RANKED_BY], leaderboard.scope
    rows = [row for row in leaderboard.ranked if scope == "trainings" or row.estimates[RANKED_BY].error.knows_trainings]
    tests = differences([(row.estimates[RANKED_BY], estimate) for row in rows])
    significant = holm(np.array([test.p for test in tests])) < ALPHA
    apart = [(row, test) for row, test, is_apart in zip(rows, tests, significant, strict=True) if is_apart]
    return AgainstBaseline(
        best=best,
        value=estimate.value,
        better=tuple(row.label for row, test in apart if test.value > 0),
        below=sum(test.value < 0 for _, test in apart),
        models=len(rows),
        scope=scope,
    )
