"""The first glance: who is better, and how surely."""

from dataclasses import dataclass
from itertools import combinations

from benchmark.leaderboard.board import RANKED_BY, Board, Row
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.page.view import best_yardstick, difference, digits, human_ceiling, is_doubtful


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A number of the first glance, and what it says."""

    number: str
    text: str


def facts_of(board: Board) -> list[Fact]:
    """Who is better, and how surely."""
    models = [row for row in board.models if row.rank]
    if not models:
        return [Fact(number=str(len(board.models)), text="models, none of which can be ranked: no masks, no F1.")]
    first = models[0].estimates[RANKED_BY]
    near = [row for row in models[1:] if _overlap(models[0], row)]
    told = f"trained {models[0].title}, leads: F1 {digits(first.value)} ({digits(first.low)} to {digits(first.high)})"
    told += f"; the ranks of {_count(len(near), 'other')} overlap its own." if near else ", apart from all others."
    if is_doubtful(board, models[0]):
        told += " † But its diagnosis does not surely beat chance: its maps explain guesses."
    pairs = list(combinations(models, 2))
    together = sum(_overlap(one, other) for one, other in pairs)
    tied = sum(any(_overlap(row, other) for other in models if other is not row) for row in models)
    facts = [
        Fact(number=models[0].name, text=told),
        Fact(
            number=f"{tied} of {len(models)}",
            text=f"models share ranks with another one: {together} of {len(pairs)} pairs are not told apart.",
        ),
    ]
    return [*facts, *_against_yardsticks(board, models)]


def _against_yardsticks(board: Board, models: list[Row]) -> list[Fact]:
    column = next(column for column in COLUMNS if column.name == RANKED_BY)
    facts = []
    if best := best_yardstick(board, column):
        known = best.estimates[RANKED_BY]
        above = sum(difference(row.estimates[RANKED_BY], known)[0] > 0 for row in models)
        text = f"beat the best yardstick with the whole interval of the difference: {best.name}, {digits(known.value)}."
        facts.append(Fact(number=f"{above} of {len(models)}", text=text))
    if ceiling := human_ceiling(board, column):
        value = ceiling.estimates[RANKED_BY].value
        reached = sum(row.estimates[RANKED_BY].value >= value for row in models)
        facts.append(
            Fact(
                number=digits(value),
                text=f"is the human ceiling: {ceiling.name}; {reached} of {len(models)} models reach it.",
            )
        )
    return facts


def _overlap(one: Row, other: Row) -> bool:
    return bool(one.rank and other.rank and one.rank[0] <= other.rank[1] and other.rank[0] <= one.rank[1])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
