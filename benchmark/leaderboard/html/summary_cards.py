"""Summary cards at the top of the page: the verdict, significant differences, and references."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.baselines import AgainstBaseline, against_baseline, human_ceiling
from benchmark.leaderboard.analysis.chance import describe_unranked
from benchmark.leaderboard.analysis.summary import SINGLE_TRAININGS, leaders, verdict
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.html.page_input import digits
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.phrases import format_count


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryCard:
    """A number or name in large type, and a sentence about it."""

    number: str
    text: str


def build_summary_cards(leaderboard: LeaderboardTable) -> list[SummaryCard]:
    """Builds the cards: the verdict, significant pairs, the best baseline and the human ceiling."""
    column = leaderboard.column(RANKED_BY)
    models = [row for row in leaderboard.models if row.finite_estimate(column)]
    if not models:
        text = "models without a rank: there are no masks, so there is no map F1."
        return [SummaryCard(number=str(len(leaderboard.models)), text=text)]
    comparison = against_baseline(leaderboard)
    cards = [_verdict_card(leaderboard, comparison), *_leader_cards(leaderboard)]
    if leaderboard.scope == "trainings":
        cards.append(SummaryCard(number="1 training", text=f"of each row. {SINGLE_TRAININGS}"))
    elif leaderboard.pairs.num_tested:
        pairs = leaderboard.pairs
        text = (
            "pairs of models are significantly different in map F1 (paired tests over groups of images and trainings, "
            "Holm over all pairs)."
        )
        cards.append(SummaryCard(number=f"{pairs.num_significant} of {pairs.num_tested}", text=text))
    return [*cards, *_references(leaderboard, models, comparison)]


def _verdict_card(leaderboard: LeaderboardTable, comparison: AgainstBaseline | None) -> SummaryCard:
    """Splits the verdict at its first colon: the part before it is in large type."""
    number, _, text = verdict(leaderboard, comparison).partition(": ")
    return SummaryCard(number=number, text=text)


def _leader_cards(leaderboard: LeaderboardTable) -> list[SummaryCard]:
    """Builds the card of the highest map F1; none where no model has a rank."""
    if not (first := leaders(leaderboard)):
        return []
    estimate = first[0].estimates[RANKED_BY]
    names = " and ".join(row.label for row in first)
    text = f"is the highest map F1 ({digits(estimate.low)} to {digits(estimate.high)}): {names}."
    if leaderboard.unranked:
        text += f" Without a rank: {describe_unranked(leaderboard)}."
    return [SummaryCard(number=digits(estimate.value), text=text)]


def _references(
    leaderboard: LeaderboardTable, models: Sequence[Row], comparison: AgainstBaseline | None
) -> list[SummaryCard]:
    cards = []
    if comparison and comparison.models and comparison.scope == "models":
        verb = "is" if comparison.above == 1 else "are"
        noun = "model" if comparison.models == 1 else "models"
        text = f"{noun} with a known variance between trainings {verb} significantly better than the best baseline "
        text += f"without a trained model: {comparison.best.name}, {digits(comparison.value)}."
        cards.append(SummaryCard(number=f"{comparison.above} of {comparison.models}", text=text))
    if ceiling := human_ceiling(leaderboard, leaderboard.column(RANKED_BY)):
        value = ceiling.estimates[RANKED_BY].value
        num_reached = sum(row.estimates[RANKED_BY].value >= value for row in models)
        reach = format_count(len(models), "model reaches", "models reach")
        text = f"is the human ceiling: {ceiling.name}; {num_reached} of {reach} it."
        cards.append(SummaryCard(number=digits(value), text=text))
    return cards
