"""How many images and trainings would decide a claim, from the variances at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.claims import ClaimResult
from benchmark.statistics.power import ComparisonVariance, comparison_variance, groups_needed, seeds_needed
from benchmark.statistics.tests import ALPHA

PLANNED_SEEDS = (3, 5, 10, 20)
"""Numbers of trainings for which a plan says how many images are needed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimPlan:
    """What would decide a claim for one architecture.

    Attributes:
        result: The claim and what is known of it.
        variance: Variances between groups and between trainings. None where there are too few of them.
        seeds: Trainings of each regime that decide with the groups at hand. None if no number does.
        groups: Groups that decide, by number of trainings. None if no number does.
        first: What to do before, such as a training that beats chance; empty if nothing.
    """

    result: ClaimResult
    variance: ComparisonVariance | None = None
    seeds: int | None = None
    groups: tuple[int | None, ...] = ()
    first: str = ""


def plan_claims(results: Sequence[ClaimResult]) -> list[ClaimPlan]:
    """Plans every claim without a decision.

    A plan has a power of 80 % both for an effect of the meaningful size and for none. Its level is 5 % divided by the
    number of claims, which is the first and strictest step of Holm's correction. Variances of few trainings are
    uncertain themselves, so a plan is a guide.
    """
    return [_plan(result, ALPHA / len(results)) for result in results if result.verdict in {"undecided", "no verdict"}]


def _plan(result: ClaimResult, alpha: float) -> ClaimPlan:
    if not (result.one.error.knows_trainings and result.base.error.knows_trainings):
        return ClaimPlan(result=result, first="train each regime at least twice: the variance is unknown")
    if not result.difference.p >= 0:
        return ClaimPlan(result=result, first="test on more groups: the variance between them is unknown")
    variance, size = comparison_variance(result.one, result.base), result.claim.size
    return ClaimPlan(
        result=result,
        variance=variance,
        seeds=seeds_needed(variance, size, alpha),
        groups=tuple(groups_needed(variance, seeds, size, alpha) for seeds in PLANNED_SEEDS),
        first=f"train better: {result.obstacle}" if result.obstacle else "",
    )
