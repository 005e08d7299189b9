"""The rule for "beats chance": a model that does not guesses, and its maps explain guesses."""

from benchmark.leaderboard.columns import ACCURACY
from benchmark.leaderboard.table import LeaderboardTable, Row


def chance_level(leaderboard: LeaderboardTable) -> float:
    """Balanced accuracy of guessing."""
    return 1 / len(leaderboard.record.classes)


def beats_chance(row: Row, leaderboard: LeaderboardTable) -> bool:
    """Whether the balanced accuracy lies above chance with its whole interval; without one it does not."""
    known = row.estimates.get(ACCURACY)
    return known is not None and known.low > chance_level(leaderboard)
