"""The first glance: who is better, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.baselines import against_baseline, human_ceiling
from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.html.page_input import digits
from benchmark.leaderboard.table import LeaderboardTable, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryCard:
    """A number of the first glance, and what it says."""

    number: str
    text: str


def build_summary_cards(leaderboard: LeaderboardTable) -> list[SummaryCard]:
    """Who is better, and how surely."""
    models = [row for row in leaderboard.models if row.rank]
    if not models:
        return [
            SummaryCard(
                number=str(len(leaderboard.models)), text="models, none of which can be ranked: no masks, no F1."
            )
        ]
    facts = [_leader(leaderboard, models)]
    if len(models) > 1:
        apart = SummaryCard(
            number=f"{leaderboard.pairs.told_apart} of {leaderboard.pairs.number}",
            text="pairs of models are told apart by F1, by paired tests over patients, Holm over all pairs. "
            "Models that share a letter are not.",
        )
        facts.append(apart)
    return [*facts, *_against_baselines(leaderboard, models)]


def _leader(leaderboard: LeaderboardTable, models: Sequence[Row]) -> SummaryCard:
    first, others = models[0], len(models) - 1
    known, beaten = first.estimates[RANKED_BY], int(leaderboard.pairs.apart[0].sum())
    text = f"trained {first.title}, leads: F1 {digits(known.value)} ({digits(known.low)} to {digits(known.high)})"
    text += f", told apart from {beaten} of {others} others." if others else ", the only model."
    if not beats_chance(first, leaderboard):
        text += " † But its diagnosis does not surely beat chance: its maps explain guesses."
    return SummaryCard(number=first.name, text=text)


def _against_baselines(leaderboard: LeaderboardTable, models: Sequence[Row]) -> list[SummaryCard]:
    facts = []
    if found := against_baseline(leaderboard):
        text = "surely beat the best baseline, which looks at no trained model: "
        text += f"{found.best.name}, {digits(found.value)}."
        facts.append(SummaryCard(number=f"{found.above} of {found.models}", text=text))
    if ceiling := human_ceiling(leaderboard, leaderboard.column(RANKED_BY)):
        value = ceiling.estimates[RANKED_BY].value
        reached = sum(row.estimates[RANKED_BY].value >= value for row in models)
        text = f"is the human ceiling: {ceiling.name}; {reached} of {len(models)} models reach it."
        facts.append(SummaryCard(number=digits(value), text=text))
    return facts
