"""Whether a network uses the lesion on a part of the images: a class or a subgroup."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.analysis.fourfold import GUESSES, UNDECIDED, judge_use
from benchmark.leaderboard.reliance_columns import RELIANCE, reliance_column
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.reliance.fills import FILLS
from benchmark.statistics.bootstrap import Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class PartReliance:
    """A model on a part of the images.

    Attributes:
        row: The model.
        part: Name of the true class, or attribute and value of the subgroup.
        estimates: By name of the column. The reliance is always there.
        uses: Whether the network uses the lesion there: yes, no or undecided.
        reason: Why that is undecided. Empty if it is clear.
    """

    row: Row
    part: tuple[str, ...]
    estimates: Mapping[str, Estimate]
    uses: str
    reason: str

    @property
    def groups(self) -> float:
        """Effective number of groups whose images count."""
        return self.estimates[RELIANCE].error.groups


def judge_part(
    row: Row, leaderboard: LeaderboardTable, part: tuple[str, ...], estimates: Mapping[str, Estimate]
) -> PartReliance:
    """Judges the use of the lesion on a part of the images, by the reliance of each fill there.

    The rules are those of :func:`benchmark.leaderboard.analysis.fourfold.build_fourfold`, but no class forbids a no.
    """
    uses, reason = judge_use([estimates.get(reliance_column(fill)) for fill in FILLS])
    if not beats_chance(row, leaderboard):
        uses, reason = UNDECIDED, GUESSES
    return PartReliance(row=row, part=part, estimates=estimates, uses=uses, reason=reason)
