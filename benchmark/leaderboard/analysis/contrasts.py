"""The planned contrasts: standard training against each other regime, architecture by architecture."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

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
        regime: The regime.
        title: Title of the regime for people.
        difference: Regime minus standard.
        adjusted: P-value after Holm, over the architectures of this column and regime.
        wilcoxon_adjusted: P-value of Wilcoxon's test after Holm.
    """

    column: Column
    name: str
    regime: str
    title: str
    difference: Difference
    adjusted: float = np.nan
    wilcoxon_adjusted: float = np.nan

    @property
    def significant(self) -> bool:
        """Whether the two differ significantly."""
        return self.adjusted < ALPHA

    @property
    def verdict(self) -> str:
        """The verdict on the regime against standard training, in words."""
        return verdict(self.column, self.difference.value, significant=self.significant)


def verdict(column: Column, value: float, *, significant: bool) -> str:
    """Returns "better", "worse" or "not significantly different"; "higher" or "lower" where neither is better."""
    if not significant:
        return "not significantly different"
    if column.higher_is_better is None:
        return "higher" if value > 0 else "lower"
    return "better" if (value > 0) == column.higher_is_better else "worse"


def compute_contrasts(leaderboard: LeaderboardTable) -> list[Contrast]:
    """Computes all contrasts of a table, by column, regime and architecture.

    Holm's correction is over the architectures of a column and regime.
    """
    by_name: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in leaderboard.models:
        by_name[row.name][row.regime] = row
    regimes = sorted({row.regime for row in leaderboard.models} - {BASE})
    contrasts = []
    for column in leaderboard.columns:
        for regime in regimes:
            family = _contrast_family(
                column,
                [
                    (rows[BASE], rows[regime])
                    for _, rows in sorted(by_name.items())
                    if all(name in rows and rows[name].finite_estimate(column) for name in (BASE, regime))
                ],
            )
            adjusted = holm(np.array([contrast.difference.p for contrast in family]))
            wilcoxon_adjusted = holm(np.array([contrast.difference.wilcoxon for contrast in family]))
            contrasts += [
                replace(contrast, adjusted=float(p), wilcoxon_adjusted=float(w))
                for contrast, p, w in zip(family, adjusted, wilcoxon_adjusted, strict=True)
            ]
    return contrasts


def _contrast_family(column: Column, rows: Sequence[tuple[Row, Row]]) -> list[Contrast]:
    """Tests pairs of rows, in standard training and in another regime."""
    tests = differences([(other.estimates[column.name], base.estimates[column.name]) for base, other in rows])
    return [
        Contrast(column=column, name=other.name, regime=other.regime, title=other.title, difference=test)
        for (_, other), test in zip(rows, tests, strict=True)
    ]
