"""The rule for "best baseline", the human ceiling, and how many models surely beat the former."""

from dataclasses import dataclass

import numpy as np

from benchmark.baselines import RATER, uses_masks
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.tests import ALPHA, differences, holm


@dataclass(frozen=True, kw_only=True, slots=True)
class AgainstBaseline:
    """The models against the best baseline.

    Attributes:
        best: The baseline.
        value: What it scores.
        above: How many models surely beat it, by the paired test after Holm over the models.
        below: How many it surely beats.
        models: Of how many.
    """

    best: Row
    value: float
    above: int
    below: int
    models: int


def row_kind(row: Row) -> str:
    """Says "model", "baseline" or, for what was made from masks, "ceiling"."""
    return "model" if row.is_model else "ceiling" if uses_masks(row.name) else "baseline"


def best_baseline(leaderboard: LeaderboardTable, column: Column) -> Row | None:
    """The best of the rows that no trained model and no mask made; None where neither end of the column is better."""
    rows = [row for row in leaderboard.rows if row_kind(row) == "baseline" and row.known(column)]
    if not rows or column.higher_is_better is None:
        return None
    sign = 1 if column.higher_is_better else -1
    return max(rows, key=lambda row: sign * row.estimates[column.name].value)


def human_ceiling(leaderboard: LeaderboardTable, column: Column) -> Row | None:
    """One rater against the others; None where too few drew."""
    return next((row for row in leaderboard.rows if row.name == RATER and row.known(column)), None)


def against_baseline(leaderboard: LeaderboardTable) -> AgainstBaseline | None:
    """The models against the best baseline, by the column that ranks them; None without a baseline."""
    best = best_baseline(leaderboard, leaderboard.column(RANKED_BY))
    if best is None:
        return None
    known = best.estimates[RANKED_BY]
    found = differences([(row.estimates[RANKED_BY], known) for row in leaderboard.models])
    apart = holm(np.array([each.p for each in found])) < ALPHA
    above, below = (
        sum(bool(surely) and sign * each.value > 0 for each, surely in zip(found, apart, strict=True))
        for sign in (1, -1)
    )
    return AgainstBaseline(best=best, value=known.value, above=above, below=below, models=len(found))
