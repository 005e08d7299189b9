"""Whether a network uses the lesion, class by class: one class alone may carry the reliance of all images."""

from benchmark.leaderboard.analysis.part_reliance import PartReliance, judge_part
from benchmark.leaderboard.reliance_columns import CLASS_COLUMNS, RELIANCE, class_column
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate


def build_class_reliance(leaderboard: LeaderboardTable) -> tuple[PartReliance, ...]:
    """Builds the lines of all models with reliance, in the order of the leaderboard, a line for each true class.

    A class has no line where the reliance is undefined for all of its images. The estimates are those of
    :data:`CLASS_COLUMNS` that the model has.
    """
    return tuple(
        judge_part(row, leaderboard, (of_class,), estimates)
        for row in leaderboard.models
        for label, of_class in enumerate(leaderboard.record.classes)
        if RELIANCE in (estimates := _of_class(row, label))
    )


def _of_class(row: Row, label: int) -> dict[str, Estimate]:
    names = {name: class_column(name, label) for name in CLASS_COLUMNS}
    return {name: row.estimates[column] for name, column in names.items() if column in row.estimates}
