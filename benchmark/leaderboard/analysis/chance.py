"""The rule for "beats chance": a model that does not guesses, and its maps explain guesses."""

from benchmark.leaderboard.columns import ACCURACY
from benchmark.leaderboard.table import Board, Row


def chance_of(board: Board) -> float:
    """Balanced accuracy of guessing."""
    return 1 / len(board.record.classes)


def beats_chance(row: Row, board: Board) -> bool:
    """Whether the balanced accuracy lies above chance with its whole interval; without one it does not."""
    known = row.estimates.get(ACCURACY)
    return known is not None and known.low > chance_of(board)
