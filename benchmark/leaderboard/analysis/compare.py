"""Compares two models, score by score and image by image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.leaderboard.analysis.chance import beats_chance, find_obstacle
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import HEADLINES
from benchmark.leaderboard.load.results import (
    ResultsDirectory,
    build_bootstrap_context,
    load_ratio_statistics,
)
from benchmark.leaderboard.load.rows import model_name
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.leaderboard.tables import build_tables
from benchmark.registry import resolve_name
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.tests import Difference, all_pairs, difference

NUM_SHOWN_IMAGES = 3
"""Number of images that are shown for each of the two models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnComparison:
    """Two models by one score.

    Attributes:
        column: The score.
        one: Estimate of the first model.
        other: Estimate of the second one.
        difference: First minus second.
        adjusted: P-value after Holm, over all pairs of models of the table in this score; NaN without a test.
        verdict: Verdict in words.
    """

    column: Column
    one: Estimate
    other: Estimate
    difference: Difference
    adjusted: float
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePair:
    """An image with different scores of two models.

    Attributes:
        image: Its name.
        index: Its index among the test images.
        one: Score of the first model's map, mean over its seeds.
        other: Score of the second model's map.
    """

    image: str
    index: int
    one: float
    other: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two models of one results directory.

    Attributes:
        directory: The directory.
        synthetic: Whether its images were rendered by a program.
        method: The saliency method.
        names: Names of both models, as `architecture/regime`.
        columns: The comparison by each score.
        images_by: The score that selects the images.
        images: Images with the largest lead of the first model, then of the second one.
    """

    directory: Path
    synthetic: bool
    method: str
    names: tuple[str, str]
    columns: tuple[ColumnComparison, ...]
    images_by: str
    images: tuple[ImagePair, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns the comparison as JSON. Numbers that are not finite are null."""
        return {
            "folder": str(self.directory),
            "synthetic": self.synthetic,
            "method": self.method,
            "a": self.names[0],
            "b": self.names[1],
            "columns": [_column_json(comparison) for comparison in self.columns],
            "images_by": self.images_by,
            "images": [{"image": pair.image, "a": pair.one, "b": pair.other} for pair in self.images],
        }


def list_models(published: ResultsDirectory) -> list[str]:
    """Returns the names of the models of a results directory, as `architecture/regime` or with a variant's label."""
    return sorted(map(model_name, published.models))


def compare_models(published: ResultsDirectory, names: tuple[str, str], method: str = "") -> Comparison:
    """Computes paired differences of two models on the images that both have, with the tests of the table.

    Args:
        published: The records.
        names: Names of the two models, as `architecture/regime`.
        method: The saliency method; by default the main one.

    Raises:
        UserError: A name is unknown, both are the same, or a record is damaged.
    """
    record = next(iter(published.records.values()))
    method = resolve_name(method, record.methods, "method") if method else record.methods[0]
    models = list_models(published)
    for name in names:
        resolve_name(name, models, "model")
    if names[0] == names[1]:
        raise UserError(f"{names[0]} is compared with itself; name two models")
    tables = build_tables(published, [method])
    context = build_bootstrap_context(published)
    try:
        one, other = (load_ratio_statistics(published, method, name, context) for name in names)
    except ValueError as error:
        raise UserError(f"{published.directory}: {error}; make the record again") from None
    images_by = next((column.name for column in HEADLINES if column.name in one and column.name in other), "")
    return Comparison(
        directory=published.directory,
        synthetic=record.synthetic,
        method=method,
        names=names,
        columns=tuple(_compare_columns(tables[0], names)),
        images_by=images_by,
        images=tuple(_select_images(one[images_by], other[images_by], context.images)) if images_by else (),
    )


def _compare_columns(table: LeaderboardTable, names: tuple[str, str]) -> list[ColumnComparison]:
    """Compares two rows of a table by each column. Both signs and corrections are those of the table's own pairs."""
    rows = {row.label: row for row in table.models}
    one, other = (rows[name] for name in names)
    return [
        _compare_column(table, column, one, other)
        for column in table.columns
        if one.finite_estimate(column) and other.finite_estimate(column)
    ]


def _compare_column(table: LeaderboardTable, column: Column, one: Row, other: Row) -> ColumnComparison:
    first, second = one.estimates[column.name], other.estimates[column.name]
    test = difference(first, second)
    family = [
        row for row in table.models if row.finite_estimate(column) and (column.classifies or beats_chance(row, table))
    ]
    adjusted, significant = np.nan, False
    obstacle = "" if column.classifies else find_obstacle(one, table) or find_obstacle(other, table)
    if not obstacle:
        pairs = all_pairs([row.estimates[column.name] for row in family], scope=test.scope)
        index = family.index(one), family.index(other)
        adjusted, significant = float(pairs.adjusted[index]), bool(pairs.significant[index])
    return ColumnComparison(
        column=column,
        one=first,
        other=second,
        difference=test,
        adjusted=adjusted,
        verdict=_verdict(column, test, significant=significant, obstacle=obstacle),
    )


def _verdict(column: Column, test: Difference, *, significant: bool, obstacle: str) -> str:
    if obstacle:
        return f"no verdict: {obstacle}"
    words = "not significant"
    if significant:
        first = "A" if (test.value > 0) == (column.higher_is_better is not False) else "B"
        words = f"{first} {'better' if column.higher_is_better is not None else 'higher'}"
    return words if test.scope == "models" else f"{words}, in these trainings"


def _select_images(
    one: Sequence[RatioStatistic], other: Sequence[RatioStatistic], names: Sequence[str]
) -> list[ImagePair]:
    """Returns the images with the largest differences of each sign."""
    first, second = _image_scores(one), _image_scores(other)
    gap = first - second
    indices = np.flatnonzero(np.isfinite(gap))
    order = indices[np.argsort(-gap[indices], kind="stable")]
    ahead = [index for index in order[:NUM_SHOWN_IMAGES] if gap[index] > 0]
    behind = [index for index in order[::-1][:NUM_SHOWN_IMAGES] if gap[index] < 0]
    return [
        ImagePair(image=names[index], index=int(index), one=float(first[index]), other=float(second[index]))
        for index in (*ahead, *behind)
    ]


def _image_scores(seeds: Sequence[RatioStatistic]) -> NDArray[np.float64]:
    """Computes the mean over seeds of each image's score, (N,); NaN for images without a score."""
    scores = [
        np.divide(
            ratios.amounts[:, 0],
            ratios.counts[:, 0],
            out=np.full(len(ratios.counts), np.nan),
            where=ratios.counts[:, 0] > 0,
        )
        for ratios in seeds
    ]
    return np.asarray(np.mean(scores, axis=0))


def _column_json(comparison: ColumnComparison) -> dict[str, Any]:
    test = comparison.difference
    numbers = {
        "a": comparison.one.value,
        "b": comparison.other.value,
        "difference": test.value,
        "low": test.low,
        "high": test.high,
        "p": test.p,
        "p_holm": comparison.adjusted,
        "rank_biserial": test.effect,
    }
    return {
        "column": comparison.column.name,
        "higher_is_better": comparison.column.higher_is_better,
        **{name: value if np.isfinite(value) else None for name, value in numbers.items()},
        "images": test.images,
        "groups": test.groups,
        "scope": test.scope,
        "verdict": comparison.verdict,
    }
