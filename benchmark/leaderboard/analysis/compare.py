"""Compares two models, score by score and image by image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import HEADLINES
from benchmark.leaderboard.load.results import (
    BootstrapContext,
    ResultsDirectory,
    build_bootstrap_context,
    load_ratio_statistics,
)
from benchmark.leaderboard.load.rows import model_name
from benchmark.leaderboard.record_columns import build_columns, column_bounds
from benchmark.registry import resolve_name
from benchmark.statistics.bootstrap import Estimate, estimates
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.tests import ALPHA, Difference, difference, holm

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
        adjusted: P-value after Holm, over the scores of this comparison.
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
    """Computes paired differences of two models on the same images.

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
        columns=tuple(_compare_columns((one, other), names, context, build_columns(record))),
        images_by=images_by,
        images=tuple(_select_images(one[images_by], other[images_by], context.images)) if images_by else (),
    )


def _compare_columns(
    ratios: tuple[dict[str, list[RatioStatistic]], dict[str, list[RatioStatistic]]],
    names: tuple[str, str],
    context: BootstrapContext,
    columns: Sequence[Column],
) -> list[ColumnComparison]:
    one, other = (
        estimates(model_ratios, context.draws, row=name, bounds=column_bounds(columns))
        for model_ratios, name in zip(ratios, names, strict=True)
    )
    shared = [column for column in columns if all(_is_finite(model.get(column.name)) for model in (one, other))]
    tests = [difference(one[column.name], other[column.name]) for column in shared]
    adjusted = holm(np.array([test.p for test in tests]))
    return [
        ColumnComparison(
            column=column,
            one=one[column.name],
            other=other[column.name],
            difference=test,
            adjusted=float(p),
            verdict=_verdict(column, test.value, significant=bool(p < ALPHA)),
        )
        for column, test, p in zip(shared, tests, adjusted, strict=True)
    ]


def _is_finite(estimate: Estimate | None) -> bool:
    return estimate is not None and bool(np.isfinite(estimate.value))


def _verdict(column: Column, value: float, *, significant: bool) -> str:
    if not significant:
        return "not significantly different at this n"
    first = "A" if (value > 0) == (column.higher_is_better is not False) else "B"
    return f"{first} {'better' if column.higher_is_better is not None else 'higher'}"


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
        "wilcoxon": test.wilcoxon,
        "rank_biserial": test.effect,
    }
    return {
        "column": comparison.column.name,
        "higher_is_better": comparison.column.higher_is_better,
        **{name: value if np.isfinite(value) else None for name, value in numbers.items()},
        "images": comparison.one.images,
        "groups": test.groups,
        "verdict": comparison.verdict,
    }
