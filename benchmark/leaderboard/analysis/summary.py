"""What a table says, in the sentences that stand above it."""

import math
from collections.abc import Sequence

import numpy as np

from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.statistics.bootstrap import Estimate
from benchmark.leaderboard.statistics.tests import ALPHA, differences, holm
from benchmark.leaderboard.table import RANKED_BY, LeaderboardTable, Row


def headline(leaderboard: LeaderboardTable, contrasts: Sequence[Contrast]) -> list[str]:
    """Who is best and how surely, standard against the other regimes, and models against what looks at no model."""
    if not leaderboard.models or not leaderboard.models[0].rank:
        return []
    lines = [_first(leaderboard)]
    if (against := _regimes(contrasts)) is not None:
        lines.append(against)
    if (trivial := _trivial(leaderboard)) is not None:
        lines.append(trivial)
    return lines


def beats_chance(row: Row, leaderboard: LeaderboardTable) -> bool:
    """Whether the balanced accuracy lies above chance with its whole interval."""
    return row.estimates["balanced_accuracy"].low > 1 / len(leaderboard.record.classes)


def _first(leaderboard: LeaderboardTable) -> str:
    pairs, models = leaderboard.pairs, leaderboard.models
    first, known = models[0], models[0].estimates[RANKED_BY]
    value = f"{known.value:.3f}" + (f" [{known.low:.3f}, {known.high:.3f}]" if math.isfinite(known.low) else "")
    if len(models) == 1:
        return f"{first.label}, the only model, has an F1 of {value}."
    beaten = int(pairs.apart[0].sum())
    others = len(models) - 1
    if beaten == others:
        surely = f"and told apart from all {others} others"
    elif beaten:
        alike = [row.label for row, apart in zip(models[1:], pairs.apart[0, 1:], strict=True) if not apart]
        whom = " and ".join(alike) if len(alike) < 3 else f"{len(alike)} others"
        surely = f"told apart from {beaten} of {others} others, not from {whom}"
    else:
        surely = f"but told apart from none of the {others} others"
    guesses = (
        "" if beats_chance(first, leaderboard) else " Its diagnosis does not beat chance: its maps explain guesses."
    )
    return (
        f"Best maps by F1: {first.label}, {value}, {surely}.{guesses} "
        f"In all, {pairs.told_apart} of {pairs.number} pairs of models are told apart."
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


def _trivial(leaderboard: LeaderboardTable) -> str | None:
    """The best baseline that looks at no model and no rater, against the models; Holm over them."""
    baselines = [row for row in leaderboard.rows if not row.is_model and _looks_at_nothing(row)]
    if not baselines:
        return None
    best = max(baselines, key=lambda row: row.estimates[RANKED_BY].value)
    found = differences([(row.estimates[RANKED_BY], best.estimates[RANKED_BY]) for row in leaderboard.models])
    adjusted = holm(np.array([each.p for each in found]))
    above, below = (
        sum(p < ALPHA and sign * each.value > 0 for each, p in zip(found, adjusted, strict=True)) for sign in (1, -1)
    )
    value = best.estimates[RANKED_BY].value
    return (
        f"The baseline {best.name} ({value:.3f}) is surely beaten by {above} of {len(found)} models and surely beats "
        f"{below}."
    )


def _looks_at_nothing(row: Row) -> bool:
    """Whether it can be compared image by image and has no model's curves; the raters' row is of raters, not maps."""
    known: Estimate | None = row.estimates.get(RANKED_BY)
    return known is not None and math.isfinite(known.value) and "sparsity" in row.estimates
