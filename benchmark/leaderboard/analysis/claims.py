"""What the papers claim of training regimes, judged by the records: seen, not seen, or undecided at this size."""

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
    """A claim with what was found for one architecture."""

    claim: Claim
    architecture: str
    value: float
    base: float
    difference: Difference

    @property
    def verdict(self) -> Verdict:
        """By the paired test; a claim is not seen only where the opposite is told apart."""
        if not self.difference.p < ALPHA:
            return "undecided"
        return "seen" if (self.difference.value > 0) == self.claim.more else "not seen: the opposite"


def evaluate_claims(leaderboards: Sequence[LeaderboardTable]) -> list[ClaimResult]:
    """Every claim that the boards can speak of, for every architecture, in the order of :data:`CLAIMS`."""
    return [found for claim in CLAIMS for found in _judged(claim, leaderboards)]


def to_markdown(judged: Sequence[ClaimResult], leaderboards: Sequence[LeaderboardTable]) -> str:
    """A page of one sentence per claim, with the numbers that decide it."""
    main = leaderboards[0]
    titles = {column.name: column.title for column in main.columns}
    lines = [
        f"# What the papers claim, on {main.record.dataset}, preset {main.record.preset}",
        "",
        _about(main, len(judged)),
        "",
        "| claim | of | network | measured by | difference [95 % interval] | p | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in judged:
        claim, found = each.claim, each.difference
        method = f", {claim.method}" if claim.method else ""
        lines.append(
            f"| {claim.text} | {claim.source} | {each.architecture} | {titles[claim.column]}{method}: {each.value:.3f} "
            f"({claim.regime}) against {each.base:.3f} ({claim.than}) | {found.value:+.3f} [{found.low:+.3f}, "
            f"{found.high:+.3f}] | {_p(found.p)} | **{each.verdict}** |"
        )
    return "\n".join(lines) + "\n"


def _about(main: LeaderboardTable, claims: int) -> str:
    seeds = max(len(row.seeds) for row in main.models)
    text = (
        f"Each claim sets one regime against another on the same {main.record.images['test']} test images "
        f"({main.groups} groups), with up to {seeds} training seeds. *Seen*: the difference has the claimed sign and "
        "the paired test tells it from nothing at 5 %. *Not seen*: the same with the opposite sign. *Undecided*: at "
        f"this size neither. Nothing is corrected for the number of claims: of {claims}, one in twenty would be told "
        "apart by chance."
    )
    return stamped(text, synthetic=main.record.synthetic)


def _judged(claim: Claim, leaderboards: Sequence[LeaderboardTable]) -> Iterator[ClaimResult]:
    of_method = [leaderboard for leaderboard in leaderboards if not claim.method or leaderboard.method == claim.method]
    rows = {(row.name, row.regime): row for row in (of_method[0].models if of_method else ())}
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
