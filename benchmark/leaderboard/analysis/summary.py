"""What a table says, in the sentences that stand above it."""

import math
from collections.abc import Sequence

from benchmark.leaderboard.analysis.baselines import AgainstBaseline, against_baseline
from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable


def headline(leaderboard: LeaderboardTable, contrasts: Sequence[Contrast]) -> list[str]:
    """Who is best and how surely, standard against the other regimes, and models against what looks at no model."""
    if not leaderboard.models or not leaderboard.models[0].rank:
        return []
    lines = [_first(leaderboard)]
    if (against := _regimes(contrasts)) is not None:
        lines.append(against)
    if (baseline := against_baseline(leaderboard)) is not None:
        lines.append(_baseline(baseline))
    return lines


def _first(leaderboard: LeaderboardTable) -> str:
    pairs, models = leaderboard.pairs, leaderboard.models
    first, known = models[0], models[0].estimates[RANKED_BY]
    value = f"{known.value:.3f}" + (f" [{known.low:.3f}, {known.high:.3f}]" if math.isfinite(known.low) else "")
    if len(models) == 1:
        return f"{first.label}, the only model, has an F1 of {value}."
    beaten = int(pairs.significant[0].sum())
    others = len(models) - 1
    if beaten == others:
        surely = f"and told apart from all {others} others"
    elif beaten:
        alike = [row.label for row, apart in zip(models[1:], pairs.significant[0, 1:], strict=True) if not apart]
        whom = " and ".join(alike) if len(alike) < 3 else f"{len(alike)} others"
        surely = f"told apart from {beaten} of {others} others, not from {whom}"
    else:
        surely = f"but told apart from none of the {others} others"
    guesses = (
        "" if beats_chance(first, leaderboard) else " Its diagnosis does not beat chance: its maps explain guesses."
    )
    return (
        f"Best maps by F1: {first.label}, {value}, {surely}.{guesses} "
        f"In all, {pairs.num_significant} of {pairs.num_tested} pairs of models are told apart."
    )


def _regimes(contrasts: Sequence[Contrast]) -> str | None:
    parts = []
    for regime in dict.fromkeys(each.regime for each in contrasts):
        family = [each for each in contrasts if each.regime == regime and each.column.name == RANKED_BY]
        if family:
            better, worse = (sum(each.verdict == word for each in family) for word in ("better", "worse"))
            rest = len(family) - better - worse
            parts.append(
                f"{family[0].title} training gives better maps than standard training in {better} of {len(family)} "
                f"architectures, worse ones in {worse}, and {rest} are not told apart"
            )
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "." if parts else None


def _baseline(found: AgainstBaseline) -> str:
    return (
        f"The baseline {found.best.name} ({found.value:.3f}) is surely beaten by {found.above} of {found.models} "
        f"models and surely beats {found.below}."
    )
