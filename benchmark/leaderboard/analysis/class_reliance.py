"""Whether a network uses the lesion, class by class: one class alone may carry the reliance of all images."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.analysis.fourfold import GUESSES, UNDECIDED, judge_use
from benchmark.leaderboard.reliance_columns import CLASS_COLUMNS, RELIANCE, class_column, reliance_column
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.reliance.fills import FILLS
from benchmark.statistics.bootstrap import Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassReliance:
    """A model on the images of one true class.

    Attributes:
        row: The model.
        of_class: Name of the class.
        estimates: By name, those of :data:`CLASS_COLUMNS` that the model has. The reliance is always there.
        uses: Whether the network uses the lesion in this class: yes, no or undecided.
        reason: Why that is undecided. Empty if it is clear.
    """

    row: Row
    of_class: str
    estimates: Mapping[str, Estimate]
    uses: str
    reason: str

    @property
    def groups(self) -> float:
        """Effective number of groups whose images count."""
        return self.estimates[RELIANCE].error.groups


def build_class_reliance(leaderboard: LeaderboardTable) -> tuple[ClassReliance, ...]:
    """Builds the lines of all models with reliance, in the order of the leaderboard, a line for each class.

    The rules are those of :func:`benchmark.leaderboard.analysis.fourfold.build_fourfold`, on the images of the class. A
    class has no line where the reliance is undefined for all of its images.
    """
    return tuple(
        _judge(row, leaderboard, of_class, estimates)
        for row in leaderboard.models
        for label, of_class in enumerate(leaderboard.record.classes)
        if RELIANCE in (estimates := _of_class(row, label))
    )


def _of_class(row: Row, label: int) -> dict[str, Estimate]:
    names = {name: class_column(name, label) for name in CLASS_COLUMNS}
    return {name: row.estimates[column] for name, column in names.items() if column in row.estimates}


def _judge(row: Row, leaderboard: LeaderboardTable, of_class: str, estimates: Mapping[str, Estimate]) -> ClassReliance:
    uses, reason = judge_use([estimates.get(reliance_column(fill)) for fill in FILLS])
    if not beats_chance(row, leaderboard):
        uses, reason = UNDECIDED, GUESSES
    return ClassReliance(row=row, of_class=of_class, estimates=estimates, uses=uses, reason=reason)
