"""Exports the claims as a page of Markdown, and the plan that would decide them."""

import math
from collections.abc import Sequence

from benchmark.escaping import Markdown, escape_markdown
from benchmark.leaderboard.analysis.claim_list import CLAIMS
from benchmark.leaderboard.analysis.claim_plan import PLANNED_SEEDS, ClaimPlan, plan_claims
from benchmark.leaderboard.analysis.claims import ClaimResult, count_verdicts
from benchmark.leaderboard.export.grid import NO_INTERVAL, markdown
from benchmark.leaderboard.synthetic import stamped
from benchmark.leaderboard.table import LeaderboardTable

PLAN_HEADING = (
    *("claim", "network", "measured by", "meaningful", "groups", "SD of groups", "SD of trainings"),
    *("trainings needed", *(f"groups needed, {seeds} trainings" for seeds in PLANNED_SEEDS), "first"),
)


def claims_markdown(results: Sequence[ClaimResult], leaderboards: Sequence[LeaderboardTable]) -> str:
    """Returns a page with a line per claim and architecture, its numbers, and what would decide it."""
    main = leaderboards[0]
    titles = {column.name: column.title for column in main.columns}
    heading = ["claim", "source", "network", "measured by", "difference [95 % interval]", "p (Holm)", "meaningful"]
    table = [[*heading, "p (Holm) of more", "verdict"]]
    table += [_claim_cells(result, titles) for result in results]
    lines = [f"# Claims of the papers, on {escape_markdown(f'{main.record.dataset}, preset {main.record.preset}')}", ""]
    lines += [summarize_claims(results), "", _about(main), "", *markdown(table), ""]
    if plans := plan_claims(results):
        lines += ["## What would decide them", "", PLAN_NOTE, ""]
        lines += [*markdown([list(PLAN_HEADING), *(plan_cells(plan, titles) for plan in plans)]), ""]
    return "\n".join(lines).rstrip() + "\n"


def summarize_claims(results: Sequence[ClaimResult]) -> str:
    """Returns one sentence with the number of each verdict."""
    counts = count_verdicts(results)
    words = ("seen", "opposite", "bounded", "undecided", "without a verdict")
    parts = [f"{count} {word}" for count, word in zip(counts.values(), words, strict=True)]
    return f"Of {len(results)} claims: {', '.join(parts)}."


def explain_no_claims(leaderboard: LeaderboardTable) -> str:
    """Says what a table lacks for every claim: the two regimes of one, in the same architecture."""
    present = ", ".join(sorted({row.regime for row in leaderboard.models}))
    pairs = dict.fromkeys((claim.regime, claim.than) for claim in CLAIMS)
    needed = ", ".join(f"{regime} and {than}" for regime, than in pairs)
    return (
        f"No claim can be evaluated: each compares two regimes of one architecture, and this table has {present}. "
        f"Train one of these pairs with `run --regime`, best with several seeds: {needed}."
    )


def plan_cells(plan: ClaimPlan, titles: dict[str, str]) -> list[str]:
    """Returns the cells of a plan under :data:`PLAN_HEADING`."""
    claim, variance = plan.result.claim, plan.variance
    method = f", {claim.method}" if claim.method else ""
    cells = [claim.text, plan.result.architecture, f"{titles[claim.column]}{method}", f"{claim.size:g}"]
    if variance is None:
        return [*cells, *["-"] * (len(PLAN_HEADING) - len(cells) - 1), plan.first]
    spreads = [f"{variance.by_group**0.5:.3f}", f"{variance.of_trainings(variance.groups) ** 0.5:.3f}"]
    needed = [f"{count:,}" if count else "no number" for count in (plan.seeds, *plan.groups)]
    return [*cells, f"{variance.groups:.0f}", *spreads, *needed, plan.first]


PLAN_NOTE = (
    "Groups are patients or lesions whose images have this score. Their SD is that of the difference between the "
    "regimes. The SD of trainings is that of a score over new trainings of one regime. The needed numbers give a power "
    "of 80 % both for a difference of the meaningful size and for none, at 5 % over all claims. Trainings needed are "
    "those of each regime with the groups at hand. Few trainings estimate their own SD poorly, so take the numbers as "
    "a guide. *First* says what the plan presumes: variances of better networks may differ."
)


def plan_lines(plan: ClaimPlan, titles: dict[str, str]) -> list[str]:
    """Returns a plan as lines for a terminal."""
    text, network, measured, size, groups, *spreads, trainings = plan_cells(plan, titles)[:8]
    lines = [f"{text} ({network}, {measured})"]
    if plan.variance is not None:
        others = ", ".join(
            f"{count:,} groups and {seeds} trainings"
            for seeds, count in zip(PLANNED_SEEDS, plan.groups, strict=True)
            if count
        )
        lines += [
            f"  meaningful {size}; SD of groups {spreads[0]}, of trainings {spreads[1]}",
            f"  trainings needed with {groups} groups: {trainings}; or {others or 'none'}",
        ]
    return [*lines, f"  first: {plan.first}"] if plan.first else lines


def _claim_cells(result: ClaimResult, titles: dict[str, str]) -> list[str]:
    claim, test = result.claim, result.difference
    method = f", {claim.method}" if claim.method else ""
    reason = f": {result.reason}" if result.reason else ""
    ends = f"{test.low:+.3f}, {test.high:+.3f}" if math.isfinite(test.low) else NO_INTERVAL
    measured = (
        f"{titles[claim.column]}{method}: {result.value:.3f} ({claim.regime}) against {result.reference:.3f} "
        f"({claim.than})"
    )
    return [
        claim.text,
        claim.source,
        result.architecture,
        measured,
        f"{test.value:+.3f} [{ends}]",
        _p(result.adjusted),
        f"{claim.size:g}",
        _p(result.bound),
        Markdown(f"**{result.verdict}**{escape_markdown(reason)}"),
    ]


def _about(main: LeaderboardTable) -> str:
    seeds = max(len(row.seeds) for row in main.models)
    text = (
        f"Each claim compares two regimes on the same {main.record.images['test']} test images ({main.groups} "
        f"groups), with up to {seeds} training seeds. A verdict is about new trainings and new images. *Seen*: the "
        "difference has the claimed sign and is significant. *Not seen*: it is significant with the opposite sign. "
        "*Bounded*: the difference is significantly smaller than the meaningful size, in either direction. "
        "*Undecided*: none of these at this sample size. *No verdict*: a regime does not beat chance, was trained only "
        "once, or has a collapsed training, or the interval and the test disagree. Both p-values are corrected by "
        "Holm's method over all claims with a verdict, at 5 %. The first is of equal scores (paired test over groups "
        "and seeds). The second is of a difference of the meaningful size or more (two one-sided tests)."
    )
    return stamped(text, synthetic=main.record.synthetic)


def _p(p: float) -> str:
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
