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
    """One architecture in a regime less the same architecture in standard training.

    Attributes:
        column: The score.
        name: The architecture.
        regime: The regime.
        title: How people are told of the regime.
        difference: Regime less standard.
        adjusted: P-value after Holm, over the architectures of this column and regime.
        wilcoxon_adjusted: The same of Wilcoxon's test.
    """

    column: Column
    name: str
    regime: str
    title: str
    difference: Difference
    adjusted: float = np.nan
    wilcoxon_adjusted: float = np.nan

    @property
    def told_apart(self) -> bool:
        """Whether the two are told apart."""
        return self.adjusted < ALPHA

    @property
    def verdict(self) -> str:
        """In words, of the regime against standard training."""
        return verdict(self.column, self.difference.value, told_apart=self.told_apart)


def verdict(column: Column, value: float, *, told_apart: bool) -> str:
    """Better, worse or not told apart; higher or lower where neither is better."""
    if not told_apart:
        return "not told apart"
    if column.higher_is_better is None:
        return "higher" if value > 0 else "lower"
    return "better" if (value > 0) == column.higher_is_better else "worse"


def compute_contrasts(leaderboard: LeaderboardTable) -> list[Contrast]:
    """All contrasts of a board, by column, regime and architecture; Holm's correction within a column and regime."""
    by_name: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in leaderboard.models:
        by_name[row.name][row.regime] = row
    regimes = sorted({row.regime for row in leaderboard.models} - {BASE})
    found = []
    for column in leaderboard.columns:
        for regime in regimes:
            family = _family(
                column,
                [
                    (rows[BASE], rows[regime])
                    for _, rows in sorted(by_name.items())
                    if all(name in rows and rows[name].finite_estimate(column) for name in (BASE, regime))
                ],
            )
            adjusted = holm(np.array([each.difference.p for each in family]))
            signed = holm(np.array([each.difference.wilcoxon for each in family]))
            found += [
                replace(each, adjusted=float(p), wilcoxon_adjusted=float(w))
                for each, p, w in zip(family, adjusted, signed, strict=True)
            ]
    return found


def _family(column: Column, rows: Sequence[tuple[Row, Row]]) -> list[Contrast]:
    """Rows in standard training beside the same in another regime."""
    found = differences([(other.estimates[column.name], base.estimates[column.name]) for base, other in rows])
    return [
        Contrast(column=column, name=other.name, regime=other.regime, title=other.title, difference=known)
        for (_, other), known in zip(rows, found, strict=True)
    ]
