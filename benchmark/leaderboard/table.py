"""The leaderboard of one data set, preset and saliency method: every row with its estimates."""

import math
from dataclasses import dataclass, field
from functools import cached_property

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import DEGENERATE, RANKED_BY
from benchmark.leaderboard.record_columns import build_columns
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.tests import Pairs, Scope, all_pairs
from benchmark.storage.record import Alignment, Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A model (over its seeds) or a baseline.

    Attributes:
        name: Name of the architecture or the baseline.
        regime: Name of the regime; empty for a baseline.
        title: Title of the regime for people; its name unless that claims too much.
        adversarial: Whether the regime trains on attacked images.
        seeds: The training seeds.
        origin: What it started from and was trained on before; empty for a baseline.
        estimates: By name of the column; columns that do not apply are absent.
        rank: Its rank by map F1 among the models whose classification beats chance; equal ones share it. None for
            other models and baselines.
        rank_interval: Best and worst rank that the tests of all pairs leave open, over new trainings; None where the
            variance between trainings is unknown.
        letters: Significance groups by name of a headline column. Models that share a letter are not significantly
            different. Empty where the variance between trainings is unknown.
        common: By name of a headline column, the mean over the images that all models have, and their number. Only of
            columns that some images of some models lack.
        badge: Source of a submission's scores: one of :data:`benchmark.leaderboard.load.badges.BADGES`, or empty.
        alignment: The grid of its target layer. None for a baseline and for records of older versions.
    """

    name: str
    regime: str
    title: str
    adversarial: bool
    seeds: tuple[int, ...]
    estimates: dict[str, Estimate]
    origin: str = ""
    rank: int | None = None
    rank_interval: tuple[int, int] | None = None
    letters: dict[str, str] = field(default_factory=dict)
    common: dict[str, tuple[float, int]] = field(default_factory=dict)
    badge: str = ""
    alignment: Alignment | None = None

    @property
    def is_model(self) -> bool:
        """Whether it is a model, not a baseline."""
        return bool(self.regime)

    @property
    def variant(self) -> str:
        """The end of its regime after its name, such as `+imagenet`, which `run --name` gives. Empty without one.

        Rows that differ in settings alone have these settings there.
        """
        _, plus, label = self.regime.partition("+")
        return f"{plus}{label}"

    @property
    def label(self) -> str:
        """Its name in texts and on the command line."""
        return f"{self.name}/{self.regime}" if self.is_model else self.name

    @property
    def degenerate(self) -> int | None:
        """Number of its maps that are constant or not finite, over all seeds; None without maps."""
        estimate = self.estimates.get(DEGENERATE)
        return estimate.undefined if estimate else None

    def finite_estimate(self, column: Column) -> Estimate | None:
        """Returns its estimate of a column, or None if that is absent or not finite."""
        estimate = self.estimates.get(column.name)
        return estimate if estimate is not None and math.isfinite(estimate.value) else None


@dataclass(frozen=True, kw_only=True)
class LeaderboardTable:
    """A table before it is written.

    Attributes:
        record: Any of its records, for the properties that all share.
        method: The saliency method.
        rows: Models with a rank, best map F1 first, then other models, then baselines.
        problems: One line for each record that is left out.
        missing: Names of cells without a record, among the regimes and seeds that most architectures have.
        positive: The positive class of two classes; empty for more classes.
        groups: Number of groups (patients, lesions) of the test images.
        records: The records of its models.
        other_protocols: Tables of other protocols. Their rows are never ranked with those of this table.
    """

    record: Record
    method: str
    positive: str
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    missing: tuple[str, ...] = ()
    groups: int = 0
    records: tuple[Record, ...] = ()
    other_protocols: "tuple[LeaderboardTable, ...]" = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns of the table."""
        return build_columns(self.record)

    def column(self, name: str) -> Column:
        """Returns one of its columns by name."""
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def models(self) -> tuple[Row, ...]:
        """The rows of models."""
        return tuple(row for row in self.rows if row.is_model)

    @cached_property
    def has_several_origins(self) -> bool:
        """Whether models started from different weights or data."""
        return len({row.origin for row in self.models}) > 1

    def distinguishing_origin(self, row: Row) -> str:
        """Returns the origin of a row where rows differ in it, and "" where the label of its variant names it.

        The notes and the card of a model have its origin in any case.
        """
        return row.origin if self.has_several_origins and not row.variant else ""

    @cached_property
    def ranked(self) -> tuple[Row, ...]:
        """The models with a rank. Those of equal means share one."""
        return tuple(row for row in self.models if row.rank)

    @cached_property
    def unranked(self) -> tuple[Row, ...]:
        """The models without a rank."""
        return tuple(row for row in self.models if not row.rank)

    @cached_property
    def scope(self) -> Scope:
        """What the table compares: models, or single trainings where the variance between trainings is unknown."""
        known = [estimate.error.knows_trainings for row in self.models if (estimate := row.estimates.get(RANKED_BY))]
        return "models" if any(known) else "trainings"

    @cached_property
    def other_protocol_models(self) -> tuple[Row, ...]:
        """The models of other protocols. Their ranks and letters compare them with one another only."""
        return tuple(row for other in self.other_protocols for row in other.models)

    @cached_property
    def pairs(self) -> Pairs:
        """The tests of all pairs of models with a rank, by the column that ranks them. New trainings count.

        Models whose variance between trainings is unknown have no test.
        """
        return all_pairs([row.estimates.get(RANKED_BY) for row in self.ranked])
