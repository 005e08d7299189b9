"""The rule for "beats chance". Maps of a model that does not beat chance explain guesses."""

from benchmark.leaderboard.columns import ACCURACY
from benchmark.leaderboard.load.badges import MAPS_ONLY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.storage.record import Record


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

    True for maps from elsewhere without predictions: nothing is known against them.
    """
    estimate = row.estimates.get(ACCURACY)
    if estimate is None:
        return row.badge == MAPS_ONLY
    return estimate.low > chance
