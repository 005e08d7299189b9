"""The columns of a record's table: those that are declared, and one for each other metric of the record."""

from collections.abc import Sequence
from dataclasses import replace

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.load.scores import Kind
from benchmark.leaderboard.load.statistics import MeanScore
from benchmark.storage.record import Record


def columns_of(record: Record) -> tuple[Column, ...]:
    """The declared columns, then one for each metric of the record that none of them reads.

    What the entry of such a metric says of its column (heading, agreement) stands in the record.
    """
    read = {column.metric for column in COLUMNS}
    further = (
        Column(
            name=name.replace("-", "_"),
            title=metric.heading or name,
            higher_is_better=metric.higher_is_better,
            definition=metric.definition,
            of=MeanScore(metric=name, levels=("image", "map")),
            bounds=metric.bounds,
            agreement=metric.agreement,
        )
        for name, metric in sorted(record.metrics.items())
        if name not in read
    )
    return (*(_as_told(column, record) for column in COLUMNS), *further)


def _as_told(column: Column, record: Record) -> Column:
    """The column with the record's own definition where the metric has had several."""
    told = record.metrics.get(column.metric)
    return replace(column, definition=told.definition) if column.redefined and told else column


def column_kinds(columns: Sequence[Column]) -> frozenset[Kind]:
    """Metrics and levels of the scores that the columns read."""
    return frozenset(kind for column in columns for kind in column.kinds)


def column_bounds(columns: Sequence[Column]) -> dict[str, tuple[float, float]]:
    """Least and greatest value of each column by name."""
    return {column.name: column.bounds for column in columns}
