"""Loads the statistics of a cell or a baseline from its files, by saliency method and column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.load.predictions import RowData, read_predictions
from benchmark.leaderboard.load.scores import ScoreReader, read_baselines
from benchmark.leaderboard.record_columns import build_all_columns, build_columns, column_kinds
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import Grouped, Resampling
from benchmark.storage.record import Record
from benchmark.storage.results import sidecar_file

StatisticKey = tuple[str, str]
"""Saliency method and name of the column."""


def cell_statistics(
    path: Path, record: Record, images: Sequence[str], reader: ScoreReader
) -> dict[StatisticKey, RatioStatistic]:
    """Loads all statistics of a cell, by image. Those of the classification are the same object for each method.

    Args:
        path: Path of the record.
        record: Its content.
        images: Names of the test images.
        reader: Reader of the scores of the requested methods.

    Raises:
        ValueError: A file is damaged, or has other images.
    """
    columns = build_all_columns(record)
    predictions = read_predictions(sidecar_file(path, "predictions.parquet"), images)
    scores = reader.read(sidecar_file(path, "scores.parquet"), column_kinds(columns))
    known = predictions if is_classified(record) else None
    row_data = RowData(images=images, classes=record.classes, predictions=known)
    classification = _merge_equal(_statistics(row_data, [column for column in columns if not column.kinds]))
    map_columns = [column for column in columns if column.kinds]
    return {
        (method, name): ratios
        for method, method_scores in scores.items()
        for name, ratios in (
            *classification.items(),
            *_statistics(replace(row_data, scores=method_scores, method=method), map_columns).items(),
        )
    }


def is_classified(record: Record) -> bool:
    """Returns whether the predictions of a record are known. Those of maps from elsewhere may not be."""
    return record.external_maps is None or record.external_maps.predictions != "none"


def grouped(statistics: Mapping[StatisticKey, RatioStatistic], draws: Resampling) -> dict[StatisticKey, Grouped]:
    """Sums each statistic by group. Names of the same object share the result, which is smaller than the input."""
    distinct = {id(ratios): ratios for ratios in statistics.values()}
    sums = {key: draws.grouped(ratios) for key, ratios in distinct.items()}
    return {name: sums[id(ratios)] for name, ratios in statistics.items()}


def baseline_statistics(
    path: Path, record: Record, images: Sequence[str], methods: Sequence[str]
) -> Iterator[tuple[str, str, dict[str, RatioStatistic]]]:
    """Yields saliency method, name and statistics by column of each baseline.

    Args:
        path: A baselines.parquet.
        record: Any record of the same directory.
        images: Names of the test images.
        methods: The saliency methods. A baseline that needs no method is yielded for each.

    Raises:
        ValueError: The file is damaged, or has other images.
    """
    columns = build_columns(record)
    baselines = read_baselines(path, record.protocol, images, methods, column_kinds(columns))
    for method, scores_by_name in baselines.items():
        for name, scores in scores_by_name.items():
            row_data = RowData(images=images, classes=record.classes, scores=scores, predictions=None)
            yield method, name, _statistics(row_data, columns)


def _statistics(row_data: RowData, columns: Sequence[Column]) -> dict[str, RatioStatistic]:
    return {column.name: ratios for column in columns if (ratios := column.statistic(row_data)) is not None}


def _merge_equal(statistics: dict[str, RatioStatistic]) -> dict[str, RatioStatistic]:
    """Uses one object for equal statistics. With more than two classes, the sensitivity is the balanced accuracy."""
    merged: dict[str, RatioStatistic] = {}
    for name, ratios in statistics.items():
        merged[name] = next((other for other in merged.values() if ratios.equals(other)), ratios)
    return merged
