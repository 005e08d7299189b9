"""The rule for "beats chance". Maps of a model that is not known to beat chance may explain guesses."""

from collections import Counter

from benchmark.leaderboard.columns import ACCURACY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.phrases import format_count
from benchmark.storage.record import Record

GUESSES = "does not beat chance"
NO_PREDICTIONS = "came without predictions"
NO_MAP_F1 = "has no defined map F1"
PLURALS = {
    GUESSES: "do not beat chance",
    NO_PREDICTIONS: "came without predictions",
    NO_MAP_F1: "have no defined map F1",
}
"""The words for several models, by those for one, that say why it has no rank."""


def chance_level(leaderboard: LeaderboardTable) -> float:
    """Returns the balanced accuracy of guessing."""
    return chance_of(leaderboard.record)


def chance_of(record: Record) -> float:
    """Returns the balanced accuracy of guessing the classes of a record."""
    return 1 / len(record.classes)


def beats_chance(row: Row, leaderboard: LeaderboardTable) -> bool:
    """Returns whether the classification of a row beats chance, see :func:`is_above`."""
    return is_above(row, chance_level(leaderboard))


def is_above(row: Row, chance: float) -> bool:
    """Returns whether the whole interval of a row's balanced accuracy is above a level; False without an interval.

    False for maps from elsewhere without predictions too. Otherwise it would pay to hold back those of a model that
    guesses.
    """
    estimate = row.estimates.get(ACCURACY)
    return estimate is not None and estimate.low > chance


def find_obstacle(row: Row, leaderboard: LeaderboardTable) -> str:
    """Says why a model is not known to beat chance; empty if it is."""
    if beats_chance(row, leaderboard):
        return ""
    return GUESSES if ACCURACY in row.estimates else NO_PREDICTIONS


def describe_unranked(leaderboard: LeaderboardTable) -> str:
    """Describes the models without a rank, such as `3 of 22 models, which do not beat chance`. Empty without any."""
    counts = Counter(find_obstacle(row, leaderboard) or NO_MAP_F1 for row in leaderboard.unranked)
    words = {reason: reason if counts[reason] == 1 else PLURALS[reason] for reason in PLURALS if counts[reason]}
    start = f"{len(leaderboard.unranked)} of {format_count(len(leaderboard.models), 'model')}"
    if len(words) == 1:
        return f"{start}, which {next(iter(words.values()))}"
    parts = [f"{counts[reason]} {text}" for reason, text in words.items()]
    return f"{start} ({', '.join(parts)})" if parts else ""
