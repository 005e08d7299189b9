"""Two separate questions: does the network use the lesion, and does its map show the lesion?

Each question has three answers, since an interval may allow both. Only two clear answers place a model in one of four
cells. Every verdict is by its own 95 % intervals. None is corrected over rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.baselines import UNTRAINED
from benchmark.leaderboard.analysis.baselines import row_kind
from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.reliance_columns import LESION_MASS, RELIANCE, class_column, reliance_column
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.reliance.fills import FILLS
from benchmark.statistics.bootstrap import Estimate

NEGLIGIBLE = 0.05
"""Reliance below which a network does not use the lesion: a drop of the probability by five points."""
MIN_GROUPS = {"yes": 5, "no": 10}
"""Minimum effective number of groups for an answer about the network.

A no needs more, since rare groups may carry the reliance. If a quarter of all groups do, ten groups miss every one of
them in 6 % of samples, and five groups in 24 %. A yes of five groups is safer: in simulations of skewed values, the
lower end is above the true mean in at most 2 % of trials.
"""
YES, NO, UNDECIDED = "yes", "no", "undecided"
GUESSES = "its answers are guesses"
_FEW = "too few groups"
CELLS = {
    (YES, YES): "used and shown",
    (YES, NO): "used, not shown: the map fails",
    (NO, YES): "not used, but shown: the map flatters",
    (NO, NO): "neither: a shortcut",
}
"""The verdict by the answers to both questions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FourfoldRow:
    """A model with the answers to both questions.

    Attributes:
        row: The model.
        uses: Whether the network uses the lesion: yes, no or undecided.
        shows: Whether its maps show the lesion.
        reason: Why one of the answers is undecided. Empty if both are clear.
    """

    row: Row
    uses: str
    shows: str
    reason: str

    @property
    def verdict(self) -> str:
        """One of the four cells, or undecided."""
        return CELLS.get((self.uses, self.shows), UNDECIDED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fourfold:
    """The fourfold table of one saliency method.

    Attributes:
        method: The saliency method.
        baseline: Name of the map without a network that has the most mass on the lesion. Empty without any.
        baseline_mass: Its mean mass on the lesion. NaN without any.
        rows: The models with reliance, in the order of the leaderboard.
    """

    method: str
    baseline: str
    baseline_mass: float
    rows: tuple[FourfoldRow, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of models with each verdict, in the order of the cells. Undecided ones come last."""
        counted = Counter(row.verdict for row in self.rows)
        return {verdict: counted[verdict] for verdict in (*CELLS.values(), UNDECIDED)}


def build_fourfold(leaderboard: LeaderboardTable) -> Fourfold | None:
    """Builds the fourfold table of a leaderboard. None if no model has reliance.

    A network uses the lesion if its reliance is above 0 by every fill, with the whole interval. It does not use it if
    its reliance is below :data:`NEGLIGIBLE` by every fill, with the whole interval, unless it uses the lesion in one
    class, which the mean of all hides. Both need :data:`MIN_GROUPS`. Maps show the lesion if the whole interval of
    their mass on it is above the mass of every map that needs no network, such as a centered Gaussian. They do not show
    it if the whole interval is below the largest of these.
    """
    models = [row for row in leaderboard.models if RELIANCE in row.estimates]
    if not models:
        return None
    column = leaderboard.column(LESION_MASS)
    trivial = [
        (estimate.value, row.name)
        for row in leaderboard.rows
        if row_kind(row) == "baseline" and row.name != UNTRAINED and (estimate := row.finite_estimate(column))
    ]
    mass, name = max(trivial, default=(float("nan"), ""))
    return Fourfold(
        method=leaderboard.method,
        baseline=name,
        baseline_mass=mass,
        rows=tuple(_judge(row, leaderboard, mass) for row in models),
    )


def headline(table: Fourfold) -> str:
    """Returns a sentence with the number of models in each cell."""
    counts = [f"{count} {verdict}" for verdict, count in table.counts.items() if count]
    models = "model" if len(table.rows) == 1 else "models"
    return f"Lesion by {table.method}, of {len(table.rows)} {models}: {', '.join(counts)}."


def _judge(row: Row, leaderboard: LeaderboardTable, baseline_mass: float) -> FourfoldRow:
    shows = _shows(row, baseline_mass)
    if not beats_chance(row, leaderboard):
        return FourfoldRow(row=row, uses=UNDECIDED, shows=shows, reason=GUESSES)
    answers = [_uses(row.estimates.get(reliance_column(fill))) for fill in FILLS]
    uses = _agreed(answers)
    if uses == NO and (of_class := _find_class_in_use(row, leaderboard)):
        return FourfoldRow(row=row, uses=UNDECIDED, shows=shows, reason=f"yes in {of_class}, no over all classes")
    return FourfoldRow(row=row, uses=uses, shows=shows, reason=_reason(answers, shows))


def _find_class_in_use(row: Row, leaderboard: LeaderboardTable) -> str:
    """Returns the first class in which the network uses the lesion. Empty if there is none."""
    for label, of_class in enumerate(leaderboard.record.classes):
        if judge_use([row.estimates.get(class_column(reliance_column(fill), label)) for fill in FILLS])[0] == YES:
            return of_class
    return ""


def judge_use(estimates: Sequence[Estimate | None]) -> tuple[str, str]:
    """Returns whether a network uses the lesion, by its reliance by each fill, and why that is undecided."""
    answers = [_uses(estimate) for estimate in estimates]
    return _agreed(answers), _reason(answers)


def _agreed(answers: Sequence[str]) -> str:
    return answers[0] if len(set(answers)) == 1 and _FEW not in answers else UNDECIDED


def _uses(estimate: Estimate | None) -> str:
    """Returns whether a network uses the lesion, by one fill."""
    if estimate is None:
        return UNDECIDED
    # In this order: a drop that is surely negligible is no use, even if it is surely more than 0.
    answer = NO if estimate.high < NEGLIGIBLE else YES if estimate.low > 0 else UNDECIDED
    return _FEW if estimate.error.groups < MIN_GROUPS.get(answer, MIN_GROUPS[YES]) else answer


def _shows(row: Row, baseline_mass: float) -> str:
    estimate = row.estimates.get(LESION_MASS)
    if estimate is None:
        return UNDECIDED
    return YES if estimate.low > baseline_mass else NO if estimate.high < baseline_mass else UNDECIDED


def _reason(answers: Sequence[str], shows: str = "") -> str:
    if _FEW in answers:
        return _FEW
    if {YES, NO} <= set(answers):
        return "the fills disagree"
    if not shows:
        return "the intervals allow both" if UNDECIDED in answers else ""
    parts = [name for name, is_open in (("use", UNDECIDED in answers), ("map", shows == UNDECIDED)) if is_open]
    return f"the intervals allow both: {' and '.join(parts)}" if parts else ""
