"""Evaluates the claims of papers about training regimes, over new trainings and new images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.analysis.claim_list import CLAIMS, Claim
from benchmark.leaderboard.analysis.collapse import count_collapsed
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.equivalence import equivalence_p
from benchmark.statistics.tests import ALPHA, Difference, difference, holm

Verdict = Literal["seen", "not seen: the opposite", "bounded", "undecided", "no verdict"]
VERDICTS: tuple[Verdict, ...] = ("seen", "not seen: the opposite", "bounded", "undecided", "no verdict")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimResult:
    """The result of a claim for one architecture.

    Attributes:
        claim: The claim.
        architecture: Name of the architecture, with the label of a variant if there is one.
        one: Score in the regime of the claim.
        base: Score in the regime that it is compared with.
        difference: The first minus the second.
        obstacle: Why there can be no verdict; empty if there can.
        adjusted: P-value of equal scores after Holm, over all claims without an obstacle.
        bound: P-value of a difference of the meaningful size or more, after Holm over the same claims.
    """

    claim: Claim
    architecture: str
    one: Estimate
    base: Estimate
    difference: Difference
    obstacle: str
    adjusted: float = np.nan
    bound: float = np.nan

    @property
    def value(self) -> float:
        """Score in the regime of the claim."""
        return self.one.value

    @property
    def reference(self) -> float:
        """Score in the regime that it is compared with."""
        return self.base.value

    @property
    def is_bounded(self) -> bool:
        """Whether the difference is smaller than the meaningful size, whatever its sign."""
        return self.bound < ALPHA

    @property
    def verdict(self) -> Verdict:
        """The verdict. "Not seen" needs a significant difference of the opposite sign."""
        if self.obstacle:
            return "no verdict"
        if self.adjusted < ALPHA:
            return "seen" if (self.difference.value > 0) == self.claim.more else "not seen: the opposite"
        return "bounded" if self.is_bounded else "undecided"

    @property
    def reason(self) -> str:
        """What the verdict rests on, where the word alone would mislead."""
        if self.obstacle:
            return self.obstacle
        is_small = self.adjusted < ALPHA and self.is_bounded
        return f"but smaller than {self.claim.size:g}" if is_small else ""


def evaluate_claims(published: ResultsDirectory, leaderboards: Sequence[LeaderboardTable]) -> list[ClaimResult]:
    """Evaluates all claims for every architecture with the data, in the order of the claims.

    A claim is about a regime, so its verdict must hold over new trainings. There is none where a training collapsed,
    where a model does not beat chance, where it is unknown how far its trainings vary, or where interval and test
    disagree.

    Args:
        published: The records, whose predictions show collapsed trainings.
        leaderboards: One per saliency method, the main one first.
    """
    pairs = [pair for claim in CLAIMS for pair in _find_pairs(claim, leaderboards)]
    collapsed = count_collapsed(published, {row.label for _, rows in pairs for row in rows})
    results = [_compare(claim, rows, leaderboards[0], collapsed) for claim, rows in pairs]
    tested = [index for index, result in enumerate(results) if not result.obstacle]
    adjusted = holm(np.array([results[index].difference.p for index in tested]))
    bounds = holm(np.array([_bound(results[index]) for index in tested]))
    for index, p, bound in zip(tested, adjusted, bounds, strict=True):
        results[index] = _with_p(results[index], float(p), float(bound))
    return results


def count_verdicts(results: Sequence[ClaimResult]) -> dict[Verdict, int]:
    """Counts the verdicts."""
    return {verdict: sum(result.verdict == verdict for result in results) for verdict in VERDICTS}


def _find_pairs(claim: Claim, leaderboards: Sequence[LeaderboardTable]) -> Iterator[tuple[Claim, tuple[Row, Row]]]:
    """Finds the rows of both regimes of a claim, by architecture and variant."""
    tables = [leaderboard for leaderboard in leaderboards if not claim.method or leaderboard.method == claim.method]
    rows = {(row.name, row.regime): row for row in (tables[0].models if tables else ())}
    for name, variant in dict.fromkeys((row.name, row.variant) for row in rows.values()):
        one, base = (rows.get((name, f"{regime}{variant}")) for regime in (claim.regime, claim.than))
        if one and base and claim.column in one.estimates and claim.column in base.estimates:
            yield claim, (one, base)


def _compare(
    claim: Claim, rows: tuple[Row, Row], leaderboard: LeaderboardTable, collapsed: Mapping[str, int]
) -> ClaimResult:
    one, base = (row.estimates[claim.column] for row in rows)
    obstacles = [_find_obstacle(row, leaderboard, collapsed[row.label]) for row in rows]
    if not any(obstacles):
        obstacles = [
            "" if estimate.error.knows_trainings else f"{row.regime} was trained once"
            for row, estimate in zip(rows, (one, base), strict=True)
        ]
    return ClaimResult(
        claim=claim,
        architecture=f"{rows[0].name}{rows[0].variant}",
        one=one,
        base=base,
        difference=difference(one, base),
        obstacle="; ".join(filter(None, obstacles)),
    )


def _find_obstacle(row: Row, leaderboard: LeaderboardTable, num_collapsed: int) -> str:
    """Says why a model allows no verdict on its regime; empty if it does."""
    if num_collapsed:
        return f"{num_collapsed} of {len(row.seeds)} trainings of {row.regime} collapsed to one answer"
    if not beats_chance(row, leaderboard):
        return f"{row.regime} does not beat chance"
    return ""


def _bound(result: ClaimResult) -> float:
    return equivalence_p(result.one, result.base, result.claim.size)


def _with_p(result: ClaimResult, adjusted: float, bound: float) -> ClaimResult:
    """Adds adjusted p-values. Interval and test must agree at 5 %, both without correction."""
    test = result.difference
    outside = test.low > 0 or test.high < 0
    obstacle = "" if outside == (test.p < ALPHA) else "its interval and its test disagree"
    return replace(result, adjusted=adjusted, bound=bound, obstacle=obstacle)
