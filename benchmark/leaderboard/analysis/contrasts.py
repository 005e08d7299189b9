"""The planned contrasts: standard training against each other regime, architecture by architecture.

A variant, such as training from other weights, has a standard training of its own.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.tests import ALPHA, Difference, differences, holm

BASE = "standard"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """One architecture in a regime minus the same architecture in standard training.

    Attributes:
        column: The score.
        name: The architecture.
        regime: The regime, with the label of a variant if there is one.
        base: The same of the standard training.
        title: Title of the regime for people.
        difference: Regime minus standard.
        adjusted: P-value after Holm, over the architectures and regimes of this column; NaN without a test.
        guesses: Whether there is no test, since the classification of either does not beat chance.
    """

    column: Column
    name: str
    regime: str
    base: str
    title: str
    difference: Difference
    adjusted: float = np.nan
    guesses: bool = False

    @property
    def significant(self) -> bool:
        """Whether the two regimes differ significantly, over new trainings."""
        return self.adjusted < ALPHA and self.difference.scope == "models"

    @property
    def verdict(self) -> str:
        """The verdict on the regime against standard training, in words."""
        if self.guesses:
            return "no verdict: does not beat chance"
        words = verdict(self.column, self.difference.value, significant=self.adjusted < ALPHA)
        return words if self.difference.scope == "models" else f"{words} in these trainings"


def verdict(column: Column, value: float, *, significant: bool) -> str:
    """Returns "better", "worse" or "not significantly different"; "higher" or "lower" where neither is better."""
    if not significant:
        return "not significantly different"
    if column.higher_is_better is None:
        return "higher" if value > 0 else "lower"
    return "better" if (value > 0) == column.higher_is_better else "worse"


def compute_contrasts(leaderboard: LeaderboardTable) -> list[Contrast]:
    """Computes all contrasts of a table, by column, regime and architecture.

    Holm's correction is over all architectures and regimes of a column. Where a classification does not beat chance,
    there is no test of other columns than those of the classification.
    """
    by_name: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in leaderboard.models:
        by_name[row.name][row.regime] = row
    bases = {row.regime: base_of(row) for row in leaderboard.models if row.regime != BASE}
    pairs = [
        (rows[base], rows[regime])
        for regime, base in sorted(bases.items())
        for _, rows in sorted(by_name.items())
        if base in rows and regime in rows
    ]
    return [contrast for column in leaderboard.columns for contrast in _contrast_family(leaderboard, column, pairs)]


def base_of(row: Row) -> str:
    """Returns the regime that a row is compared with: standard training of the same variant.

    Standard training of a variant is compared with that of no variant.
    """
    base = f"{BASE}{row.variant}"
    return BASE if row.regime == base else base


def _contrast_family(leaderboard: LeaderboardTable, column: Column, pairs: Sequence[tuple[Row, Row]]) -> list[Contrast]:
    """Tests pairs of rows, in standard training and in another regime."""
    pairs = [pair for pair in pairs if all(row.finite_estimate(column) for row in pair)]
    tests = differences([(other.estimates[column.name], base.estimates[column.name]) for base, other in pairs])
    guesses = [not column.classifies and not all(beats_chance(row, leaderboard) for row in pair) for pair in pairs]
    adjusted = holm(np.array([np.nan if guess else test.p for test, guess in zip(tests, guesses, strict=True)]))
    return [
        Contrast(
            column=column,
            name=other.name,
            regime=other.regime,
            base=base.regime,
            title=other.title,
            difference=test,
            adjusted=float(p),
            guesses=guess,
        )
        for (base, other), test, p, guess in zip(pairs, tests, adjusted, guesses, strict=True)
    ]
