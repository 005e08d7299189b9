"""The summary of a table in a few sentences, each a verdict by rule."""

import math
from collections.abc import Sequence

from benchmark.leaderboard.analysis.baselines import AgainstBaseline, against_baseline
from benchmark.leaderboard.analysis.chance import describe_unranked
from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.phrases import format_count

SINGLE_TRAININGS = "Each row is a single training, and another seed may change the order."
MAX_NAMED = 3
"""Maximum number of models or regimes that a sentence names."""


def headline(leaderboard: LeaderboardTable, contrasts: Sequence[Contrast]) -> list[str]:
    """Returns sentences: the verdict, the highest map F1, the regimes, and what a single training allows to say."""
    if not any(row.finite_estimate(leaderboard.column(RANKED_BY)) for row in leaderboard.models):
        return []
    comparison = against_baseline(leaderboard)
    lines = [verdict(leaderboard, comparison), *_best_sentences(leaderboard)]
    if leaderboard.scope == "trainings":
        return [*lines, SINGLE_TRAININGS]
    if (regimes := _regime_sentence(contrasts)) is not None:
        lines.append(regimes)
    if comparison is not None and comparison.models:
        lines.append(_baseline_sentence(comparison))
    return lines


def leaders(leaderboard: LeaderboardTable) -> list[Row]:
    """Returns the models of rank 1: several where they have equal means."""
    return [row for row in leaderboard.ranked if row.rank == 1]


def verdict(leaderboard: LeaderboardTable, comparison: AgainstBaseline | None) -> str:
    """Returns the verdict: none yet, or the leader with what it is better than."""
    first = leaders(leaderboard)
    if not first:
        return f"None yet. Without a rank: {describe_unranked(leaderboard)}."
    if comparison is None:
        return f"{_names(first)}: highest map F1, without a baseline to compare with."
    baseline = f"{comparison.best.name}, {comparison.value:.3f}"
    if not set(comparison.better) & {row.label for row in first}:
        kind = "network's" if comparison.scope == "models" else "training's"
        if comparison.better:
            return f"No leader yet: the highest map F1 is not significantly better than the best baseline ({baseline})."
        return f"None yet: no {kind} maps are significantly better than the best baseline ({baseline})."
    if comparison.scope == "trainings":
        return f"{_names(first)}: on these images, significantly better than the best baseline ({baseline})."
    return f"{_names(first)}: significantly better than the best baseline ({baseline}){_beaten(leaderboard)}."


def _beaten(leaderboard: LeaderboardTable) -> str:
    """Returns how many other models the first one is significantly better than; empty without others."""
    num_others = len(leaderboard.ranked) - 1
    others = format_count(num_others, "other model")
    return f" and than {leaderboard.pairs.higher[0].sum()} of {others}" if num_others else ""


def _best_sentences(leaderboard: LeaderboardTable) -> list[str]:
    """Returns the highest map F1 of the models with a rank, and how many have none."""
    first = leaders(leaderboard)
    sentences = []
    if first:
        best = first[0].estimates[RANKED_BY]
        ends = f" [{best.low:.3f}, {best.high:.3f}]" if math.isfinite(best.low) else ""
        shared = ", shared" if len(first) > 1 else ""
        sentences.append(f"Highest map F1: {_names(first)}, {best.value:.3f}{ends}{shared}.")
    if first and leaderboard.unranked:
        sentences.append(f"Without a rank: {describe_unranked(leaderboard)}.")
    return sentences


def _regime_sentence(contrasts: Sequence[Contrast]) -> str | None:
    """Returns which regimes give significantly better or worse maps than standard training; None without a test."""
    family = [c for c in contrasts if c.column.name == RANKED_BY and not c.guesses and c.difference.scope == "models"]
    if not family:
        return None
    start = f"Against standard training ({format_count(len(family), 'comparison')}, Holm):"
    parts = []
    for word in ("better", "worse"):
        titles = [contrast.title for contrast in family if contrast.verdict == word]
        counted = [f"{title} in {titles.count(title)}" for title in dict.fromkeys(titles)]
        if counted:
            rest = f" and {format_count(len(counted) - MAX_NAMED, 'more regime')}" if len(counted) > MAX_NAMED else ""
            parts.append(f"significantly {word} maps by {', '.join(counted[:MAX_NAMED])}{rest}")
    return f"{start} {', and '.join(parts) or 'no significant difference in map F1'}."


def _baseline_sentence(comparison: AgainstBaseline) -> str:
    are_better = format_count(comparison.above, "is", "are")
    are_worse = format_count(comparison.below, "is", "are")
    return (
        f"Of {format_count(comparison.models, 'model')} with a known variance between trainings, {are_better} "
        f"significantly better than the baseline {comparison.best.name} ({comparison.value:.3f}), and {are_worse} "
        "significantly worse."
    )


def _names(rows: Sequence[Row]) -> str:
    """Joins the labels of rows."""
    named = [row.label for row in rows[:MAX_NAMED]]
    rest = [f"{len(rows) - MAX_NAMED} more"] if len(rows) > MAX_NAMED else []
    return " and ".join([*named, *rest])
