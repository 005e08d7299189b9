"""The statistics of a cell or a baseline, by saliency method and column, from its files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.leaderboard.columns import Column, column_kinds, columns_of
from benchmark.leaderboard.load.predictions import RowData, read_predictions
from benchmark.leaderboard.load.scores import ScoreReader, read_baselines
from benchmark.leaderboard.statistics.bootstrap import Grouped, RatioStatistic, Resampling
from benchmark.storage.record import Record

Of = tuple[str, str]
"""Saliency method and name of the column."""


def beside(record: Path, what: str) -> Path:
    """The file of scores or predictions that belongs to a record."""
    return record.with_name(f"{record.stem}.{what}.parquet")


def cell_statistics(path: Path, record: Record, images: Sequence[str], reader: ScoreReader) -> dict[Of, RatioStatistic]:
    """Every statistic of a cell, image by image; those of the diagnosis are the same object for each method.

    Args:
        path: The record.
        record: What stands in it.
        images: Names of the test images.
        reader: Of the scores, for the methods that are wanted.

    Raises:
        ValueError: A file is damaged, or is of other images.
    """
    columns = columns_of(record)
    predictions = read_predictions(beside(path, "predictions"), images)
    scores = reader.read(beside(path, "scores"), column_kinds(columns))
    of_model = RowData(images=images, classes=record.classes, predictions=predictions)
    diagnosis = _once(_statistics(of_model, [column for column in columns if not column.kinds]))
    return {
        (method, name): ratios
        for method, known in scores.items()
        for name, ratios in (
            *diagnosis.items(),
            *_statistics(replace(of_model, scores=known), [column for column in columns if column.kinds]).items(),
        )
    }


def grouped(found: Mapping[Of, RatioStatistic], draws: Resampling) -> dict[Of, Grouped]:
    """The sums by group of each statistic: less than the statistics by image, of which only one cell's are held."""
    known = {id(each): draws.grouped(each) for each in {id(each): each for each in found.values()}.values()}
    return {name: known[id(each)] for name, each in found.items()}


def baseline_statistics(
    path: Path, record: Record, images: Sequence[str], methods: Sequence[str]
) -> Iterator[tuple[str, str, dict[str, RatioStatistic]]]:
    """Saliency method, name and statistics by column of each baseline, one after another.

    Args:
        path: A baselines.parquet.
        record: Any of the records that they stand beside.
        images: Names of the test images.
        methods: The saliency methods; a baseline that needs none stands under each.

    Raises:
        ValueError: The file is damaged, or is of other images.
    """
    columns = columns_of(record)
    found = read_baselines(path, record.protocol, images, methods, column_kinds(columns))
    for method, known in found.items():
        for name, scores in known.items():
            evidence = RowData(images=images, classes=record.classes, scores=scores, predictions=None)
            yield method, name, _statistics(evidence, columns)


def _statistics(evidence: RowData, columns: Sequence[Column]) -> dict[str, RatioStatistic]:
    return {column.name: known for column in columns if (known := column.of(evidence)) is not None}


def _once(found: dict[str, RatioStatistic]) -> dict[str, RatioStatistic]:
    """One object for what is equal: of more than two classes, the sensitivity is the balanced accuracy."""
    kept: dict[str, RatioStatistic] = {}
    for name, each in found.items():
        kept[name] = next((other for other in kept.values() if each.equals(other)), each)
    return kept
