"""The summary of a table in a few sentences."""

import math
from collections.abc import Sequence

from benchmark.leaderboard.analysis.baselines import AgainstBaseline, against_baseline
from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable


def headline(leaderboard: LeaderboardTable, contrasts: Sequence[Contrast]) -> list[str]:
    """Returns sentences about the best model, about standard training against other regimes, and about baselines."""
    if not leaderboard.models or not leaderboard.models[0].rank:
        return []
    lines = [_best_model_sentence(leaderboard)]
    if (regimes := _regime_sentences(contrasts)) is not None:
        lines.append(regimes)
    if (comparison := against_baseline(leaderboard)) is not None:
        lines.append(_baseline_sentence(comparison))
    return lines


def _best_model_sentence(leaderboard: LeaderboardTable) -> str:
    pairs, models = leaderboard.pairs, leaderboard.models
    first, best = models[0], models[0].estimates[RANKED_BY]
    value = f"{best.value:.3f}" + (f" [{best.low:.3f}, {best.high:.3f}]" if math.isfinite(best.low) else "")
    if len(models) == 1:
        return f"{first.label}, the only model, has a map F1 of {value}."
    num_beaten = int(pairs.significant[0].sum())
    num_others = len(models) - 1
    if num_beaten == num_others:
        significance = f"significantly better than all {num_others} others"
    elif num_beaten:
        alike = [row.label for row, beaten in zip(models[1:], pairs.significant[0, 1:], strict=True) if not beaten]
        rest = " and ".join(alike) if len(alike) < 3 else f"{len(alike)} others"
        significance = f"significantly better than {num_beaten} of {num_others} others, but not than {rest}"
    else:
        significance = f"but not significantly better than any of the {num_others} others"
    guesses = (
        ""
        if beats_chance(first, leaderboard)
        else " Its classification does not beat chance: its maps explain guesses."
    )
    return (
        f"Best maps by map F1: {first.label}, {value}, {significance}.{guesses} "
        f"In all, {pairs.num_significant} of {pairs.num_tested} pairs of models are significantly different."
    )


def _regime_sentences(contrasts: Sequence[Contrast]) -> str | None:
    sentences = []
    for regime in dict.fromkeys(contrast.regime for contrast in contrasts):
        family = [c for c in contrasts if c.regime == regime and c.column.name == RANKED_BY]
        if family:
            better, worse = (sum(contrast.verdict == word for contrast in family) for word in ("better", "worse"))
            rest = len(family) - better - worse
            sentences.append(
                f"In {better} of {len(family)} architectures, {family[0].title} training gives significantly better "
                f"maps than standard training, in {worse} significantly worse maps, and in {rest} there is no "
                "significant difference."
            )
    return " ".join(sentences) or None


def _baseline_sentence(comparison: AgainstBaseline) -> str:
    return (
        f"Of {comparison.models} models, {comparison.above} are significantly better than the baseline "
        f"{comparison.best.name} ({comparison.value:.3f}), and {comparison.below} are significantly worse."
    )
