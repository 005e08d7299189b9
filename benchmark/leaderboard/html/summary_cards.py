"""The first glance: who is better, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.html.page_input import best_baseline, digits, human_ceiling, is_doubtful
from benchmark.leaderboard.statistics.tests import ALPHA, differences, holm
from benchmark.leaderboard.table import RANKED_BY, LeaderboardTable, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A number of the first glance, and what it says."""

    number: str
    text: str


def facts_of(leaderboard: LeaderboardTable) -> list[Fact]:
    """Who is better, and how surely."""
    models = [row for row in leaderboard.models if row.rank]
    if not models:
        return [Fact(number=str(len(leaderboard.models)), text="models, none of which can be ranked: no masks, no F1.")]
    facts = [_leader(leaderboard, models)]
    if len(models) > 1:
        apart = Fact(
            number=f"{leaderboard.pairs.told_apart} of {leaderboard.pairs.number}",
            text="pairs of models are told apart by F1, by paired tests over patients, Holm over all pairs. "
            "Models that share a letter are not.",
        )
        facts.append(apart)
    return [*facts, *_against_baselines(leaderboard, models)]


def _leader(leaderboard: LeaderboardTable, models: Sequence[Row]) -> Fact:
    first, others = models[0], len(models) - 1
    known, beaten = first.estimates[RANKED_BY], int(leaderboard.pairs.apart[0].sum())
    text = f"trained {first.title}, leads: F1 {digits(known.value)} ({digits(known.low)} to {digits(known.high)})"
    text += f", told apart from {beaten} of {others} others." if others else ", the only model."
    if is_doubtful(leaderboard, first):
        text += " † But its diagnosis does not surely beat chance: its maps explain guesses."
    return Fact(number=first.name, text=text)


def _against_baselines(leaderboard: LeaderboardTable, models: Sequence[Row]) -> list[Fact]:
    column = next(column for column in COLUMNS if column.name == RANKED_BY)
    facts = []
    if best := best_baseline(leaderboard, column):
        known = best.estimates[RANKED_BY]
        found = differences([(row.estimates[RANKED_BY], known) for row in models])
        adjusted = holm(np.array([each.p for each in found]))
        above = sum(p < ALPHA and each.value > 0 for each, p in zip(found, adjusted, strict=True))
        text = f"surely beat the best baseline, which looks at no trained model: {best.name}, {digits(known.value)}."
        facts.append(Fact(number=f"{above} of {len(models)}", text=text))
    if ceiling := human_ceiling(leaderboard, column):
        value = ceiling.estimates[RANKED_BY].value
        reached = sum(row.estimates[RANKED_BY].value >= value for row in models)
        text = f"is the human ceiling: {ceiling.name}; {reached} of {len(models)} models reach it."
        facts.append(Fact(number=digits(value), text=text))
    return facts
