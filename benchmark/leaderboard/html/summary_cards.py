"""Summary cards at the top of the page: the best model, and significant differences."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.baselines import against_baseline, human_ceiling
from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.html.page_input import digits
from benchmark.leaderboard.table import LeaderboardTable, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryCard:
    """A number or name in large type, and a sentence about it."""

    number: str
    text: str


def build_summary_cards(leaderboard: LeaderboardTable) -> list[SummaryCard]:
    """Builds the cards: the best model, significant pairs, the best baseline and the human ceiling."""
    models = [row for row in leaderboard.models if row.rank]
    if not models:
        text = "models without a rank: there are no masks, so there is no map F1."
        return [SummaryCard(number=str(len(leaderboard.models)), text=text)]
    cards = [_leader(leaderboard, models)]
    if len(models) > 1:
        pairs = SummaryCard(
            number=f"{leaderboard.pairs.num_significant} of {leaderboard.pairs.num_tested}",
            text="pairs of models are significantly different in map F1 (paired tests over groups of images, Holm over "
            "all pairs). Models that share a letter are not significantly different.",
        )
        cards.append(pairs)
    return [*cards, *_references(leaderboard, models)]


def _leader(leaderboard: LeaderboardTable, models: Sequence[Row]) -> SummaryCard:
    first, num_others = models[0], len(models) - 1
    estimate, num_apart = first.estimates[RANKED_BY], int(leaderboard.pairs.significant[0].sum())
    interval = f"{digits(estimate.low)} to {digits(estimate.high)}"
    text = f"({first.title}) has the best map F1: {digits(estimate.value)} ({interval})"
    text += f", significantly different from {num_apart} of {num_others} others." if num_others else ", the only model."
    if not beats_chance(first, leaderboard):
        text += " † Its accuracy is not significantly better than chance: its maps explain guesses."
    return SummaryCard(number=first.name, text=text)


def _references(leaderboard: LeaderboardTable, models: Sequence[Row]) -> list[SummaryCard]:
    cards = []
    if comparison := against_baseline(leaderboard):
        verb = "is" if comparison.above == 1 else "are"
        text = f"models {verb} significantly better than the best baseline without a trained model: "
        text += f"{comparison.best.name}, {digits(comparison.value)}."
        cards.append(SummaryCard(number=f"{comparison.above} of {comparison.models}", text=text))
    if ceiling := human_ceiling(leaderboard, leaderboard.column(RANKED_BY)):
        value = ceiling.estimates[RANKED_BY].value
        num_reached = sum(row.estimates[RANKED_BY].value >= value for row in models)
        text = f"is the human ceiling: {ceiling.name}; {num_reached} of {len(models)} models reach it."
        cards.append(SummaryCard(number=digits(value), text=text))
    return cards
