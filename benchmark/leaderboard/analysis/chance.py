"""The rule for "beats chance". Maps of a model that does not beat chance explain guesses."""

from benchmark.leaderboard.columns import ACCURACY
from benchmark.leaderboard.load.badges import MAPS_ONLY
from benchmark.leaderboard.table import LeaderboardTable, Row


def chance_level(leaderboard: LeaderboardTable) -> float:
    """Returns the balanced accuracy of guessing."""
    return 1 / len(leaderboard.record.classes)


def beats_chance(row: Row, leaderboard: LeaderboardTable) -> bool:
    """Returns whether the whole interval of the balanced accuracy is above chance; False without an interval.

    True for maps from elsewhere without predictions: nothing is known against them.
    """
    estimate = row.estimates.get(ACCURACY)
    if estimate is None and row.badge == MAPS_ONLY:
        return True
    return estimate is not None and estimate.low > chance_level(leaderboard)
