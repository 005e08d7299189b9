"""The columns of a record's table: the declared ones, and one for each other metric of the record."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import COLUMNS, CONSTANT_ANSWER
from benchmark.leaderboard.load.attacks import UnderAttack
from benchmark.leaderboard.load.score_layout import Kind
from benchmark.leaderboard.load.statistics import MeanScore
from benchmark.leaderboard.reliance_columns import build_class_columns
from benchmark.scoring.classification import robust_accuracy
from benchmark.storage.record import MetricDefinition, Record


def build_columns(record: Record) -> tuple[Column, ...]:
    """Returns the declared columns, then further ones of the record.

    These are the accuracy under attack of each budget, where there are several, and each metric that none of the
    declared columns reads. The record has the heading and the flag `agreement` of such a metric's column.
    """
    read = {column.metric for column in COLUMNS}
    further = (
        Column(
            name=name.replace("-", "_"),
            title=metric.heading or name,
            higher_is_better=metric.higher_is_better,
            definition=metric.definition,
            statistic=MeanScore(metric=name, levels=("image", "map")),
            bounds=metric.bounds,
            agreement=metric.agreement,
        )
        for name, metric in sorted(record.metrics.items())
        if name not in read
    )
    return (*(_with_record_definition(column, record) for column in COLUMNS), *_budget_columns(record), *further)


def build_all_columns(record: Record) -> tuple[Column, ...]:
    """Returns the columns of a record, and those of each class, which only the table of classes shows."""
    budgets = tuple(record.settings["preset"]["attack_eps"])
    key = record.classes, budgets, tuple(record.metrics)
    return _build_all_columns(_ColumnSource(key=key, metrics=record.metrics, record=record))


@dataclass(frozen=True, kw_only=True, slots=True)
class _ColumnSource:
    """A record, and what its columns follow from. Most records of a table have equal columns."""

    key: tuple[object, ...]
    metrics: dict[str, MetricDefinition] = field(hash=False)
    record: Record = field(compare=False)


@lru_cache(maxsize=16)
def _build_all_columns(source: _ColumnSource) -> tuple[Column, ...]:
    return (*build_columns(source.record), *build_class_columns(source.record.classes))


def _budget_columns(record: Record) -> Iterator[Column]:
    """Yields a column for each budget of the attacks. A single one is the declared column."""
    budgets = sorted(record.settings["preset"]["attack_eps"])
    for eps in budgets if len(budgets) > 1 else ():
        yield Column(
            name=f"accuracy_under_attack_{eps:g}",
            title=f"accuracy under attack, L2 {eps:g}",
            higher_is_better=True,
            definition=f"Plain accuracy on the attacked images, under the worst of the attacks with L2 budget {eps:g}.",
            statistic=UnderAttack(compute=robust_accuracy, eps=eps),
            reference=CONSTANT_ANSWER,
        )


def _with_record_definition(column: Column, record: Record) -> Column:
    """Replaces the definition of a column by that of the record if the metric had several definitions."""
    metric = record.metrics.get(column.metric)
    return replace(column, definition=metric.definition) if column.redefined and metric else column


def column_kinds(columns: Sequence[Column]) -> frozenset[Kind]:
    """Returns metrics and levels of the scores that the columns read."""
    return frozenset(kind for column in columns for kind in column.kinds)


def column_bounds(columns: Sequence[Column]) -> dict[str, tuple[float, float]]:
    """Returns minimum and maximum of each column by name."""
    return {column.name: column.bounds for column in columns}
