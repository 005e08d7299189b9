"""Evaluates the claims of papers about training regimes: seen, not seen, or undecided at this sample size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.leaderboard.analysis.claim_list import CLAIMS, Claim
from benchmark.leaderboard.synthetic import stamped
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.tests import ALPHA, Difference, difference

Verdict = Literal["seen", "not seen: the opposite", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimResult:
    """The result of a claim for one architecture.

    Attributes:
        claim: The claim.
        architecture: Name of the architecture.
        value: Score in the regime of the claim.
        base: Score in the regime that it is compared with.
        difference: The first minus the second.
    """

    claim: Claim
    architecture: str
    value: float
    base: float
    difference: Difference

    @property
    def verdict(self) -> Verdict:
        """The verdict of the paired test. "Not seen" needs a significant difference of the opposite sign."""
        if not self.difference.p < ALPHA:
            return "undecided"
        return "seen" if (self.difference.value > 0) == self.claim.more else "not seen: the opposite"


def evaluate_claims(leaderboards: Sequence[LeaderboardTable]) -> list[ClaimResult]:
    """Evaluates all claims for every architecture with the data, in the order of :data:`CLAIMS`."""
    return [result for claim in CLAIMS for result in _evaluate(claim, leaderboards)]


def to_markdown(results: Sequence[ClaimResult], leaderboards: Sequence[LeaderboardTable]) -> str:
    """Returns a page with a line per claim and architecture, and its numbers."""
    main = leaderboards[0]
    titles = {column.name: column.title for column in main.columns}
    lines = [
        f"# Claims of the papers, on {main.record.dataset}, preset {main.record.preset}",
        "",
        _about(main, len(results)),
        "",
        "| claim | source | network | measured by | difference [95 % interval] | p | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        claim, difference = result.claim, result.difference
        method = f", {claim.method}" if claim.method else ""
        lines.append(
            f"| {claim.text} | {claim.source} | {result.architecture} | {titles[claim.column]}{method}: "
            f"{result.value:.3f} ({claim.regime}) against {result.base:.3f} ({claim.than}) | "
            f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] | {_p(difference.p)} | "
            f"**{result.verdict}** |"
        )
    return "\n".join(lines) + "\n"


def _about(main: LeaderboardTable, claims: int) -> str:
    seeds = max(len(row.seeds) for row in main.models)
    text = (
        f"Each claim compares two regimes on the same {main.record.images['test']} test images ({main.groups} "
        f"groups), with up to {seeds} training seeds. *Seen*: the difference has the claimed sign and is significant "
        "in the paired test at 5 %. *Not seen*: it is significant with the opposite sign. *Undecided*: it is not "
        f"significant at this sample size. P-values are not corrected for the number of claims. Of {claims}, one in "
        "twenty would be significant by chance."
    )
    return stamped(text, synthetic=main.record.synthetic)


def _evaluate(claim: Claim, leaderboards: Sequence[LeaderboardTable]) -> Iterator[ClaimResult]:
    tables = [leaderboard for leaderboard in leaderboards if not claim.method or leaderboard.method == claim.method]
    rows = {(row.name, row.regime): row for row in (tables[0].models if tables else ())}
    for name in dict.fromkeys(name for name, _ in rows):
        one, other = (_estimate(rows.get((name, regime)), claim.column) for regime in (claim.regime, claim.than))
        if one is not None and other is not None:
            yield ClaimResult(
                claim=claim,
                architecture=name,
                value=one.value,
                base=other.value,
                difference=difference(one, other),
            )


def _estimate(row: Row | None, column: str) -> Estimate | None:
    return None if row is None else row.estimates.get(column)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
