"""The leaderboard of one data set, preset and saliency method: every row with its estimates."""

import math
from dataclasses import dataclass, field
from functools import cached_property

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import DEGENERATE, RANKED_BY
from benchmark.leaderboard.record_columns import columns_of
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.tests import Pairs, all_pairs
from benchmark.storage.record import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A model (over its seeds) or a baseline.

    Attributes:
        name: Name of the architecture or the baseline.
        regime: Name of the regime; empty for a baseline.
        title: How people are told of the regime; its name unless that would claim too much.
        adversarial: Whether the regime trains on attacked images.
        seeds: The training seeds.
        estimates: By name of the column; a row lacks what it cannot have.
        rank: Interval of its rank among the models, by F1; None for a baseline.
        best: Share of the bootstrap's draws in which it ranks first; None for a baseline.
        letters: By name of a headline column: models that share a letter are not told apart by it.
        badge: Of a submission, whose word its scores are: one of :data:`benchmark.leaderboard.load.badges.BADGES`.
    """

    name: str
    regime: str
    title: str
    adversarial: bool
    seeds: tuple[int, ...]
    estimates: dict[str, Estimate]
    rank: tuple[int, int] | None = None
    best: float | None = None
    letters: dict[str, str] = field(default_factory=dict)
    badge: str = ""

    @property
    def is_model(self) -> bool:
        """Whether a model made it."""
        return bool(self.regime)

    @property
    def label(self) -> str:
        """How it is called in a line of text and on the command line."""
        return f"{self.name}/{self.regime}" if self.is_model else self.name

    @property
    def degenerate(self) -> int | None:
        """How many of its maps are constant or no numbers, over all seeds; None where there are no maps."""
        known = self.estimates.get(DEGENERATE)
        return known.undefined if known else None

    def known(self, column: Column) -> Estimate | None:
        """Its estimate of a column, where that is a number."""
        found = self.estimates.get(column.name)
        return found if found is not None and math.isfinite(found.value) else None


@dataclass(frozen=True, kw_only=True)
class LeaderboardTable:
    """A table before it is written.

    Attributes:
        record: Any of its records, for what they share.
        method: The saliency method.
        rows: Models, best F1 first, then baselines.
        problems: One line for each record that is left out.
        missing: Names of cells that no record tells of, among the regimes and seeds that others have.
        positive: Of two classes the one that counts as positive; empty where there are more.
        groups: Number of patients, lesions or whatever is drawn whole, among the test images.
        apart: Tables of what was made under other protocols: kept, and never ranked with the rows of this one.
    """

    record: Record
    method: str
    positive: str
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    missing: tuple[str, ...] = ()
    groups: int = 0
    apart: "tuple[LeaderboardTable, ...]" = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """What the table may show."""
        return columns_of(self.record)

    def column(self, name: str) -> Column:
        """One of its columns by name."""
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def models(self) -> tuple[Row, ...]:
        """The rows that models made."""
        return tuple(row for row in self.rows if row.is_model)

    @cached_property
    def models_apart(self) -> tuple[Row, ...]:
        """The rows that models of other protocols made; their ranks and letters are among themselves."""
        return tuple(row for other in self.apart for row in other.models)

    @cached_property
    def pairs(self) -> Pairs:
        """Which models are told apart, by the column they are ranked by."""
        return all_pairs([row.estimates.get(RANKED_BY) for row in self.models])
