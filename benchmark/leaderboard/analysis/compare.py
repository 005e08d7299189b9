"""Two models against each other: score by score, and image by image."""

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
from benchmark.leaderboard.record_columns import build_columns, column_bounds
from benchmark.registry import resolve_name
from benchmark.statistics.bootstrap import Estimate, estimates
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.tests import ALPHA, Difference, difference, holm

NUM_SHOWN_IMAGES = 3
"""So many images are shown for each of the two models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two models by one score.

    Attributes:
        column: The score.
        one: Of the first model.
        other: Of the second one.
        difference: First less second.
        adjusted: P-value after Holm, over the scores of this comparison.
        verdict: In words.
    """

    column: Column
    one: Estimate
    other: Estimate
    difference: Difference
    adjusted: float
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePair:
    """An image by which two models differ.

    Attributes:
        image: Its name.
        place: Its place among the test images.
        one: Score of the first model's map, mean over its seeds.
        other: Of the second one's.
    """

    image: str
    place: int
    one: float
    other: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two models of one results directory.

    Attributes:
        directory: The directory.
        synthetic: Whether its images were rendered by a program.
        method: The saliency method.
        names: Of the first and the second model, as `architecture/regime`.
        columns: Score by score.
        images_by: The score that the images are chosen by.
        images: Where the first model is ahead most, then where the second one is.
    """

    directory: Path
    synthetic: bool
    method: str
    names: tuple[str, str]
    columns: tuple[Compared, ...]
    images_by: str
    images: tuple[ImagePair, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs; numbers that are none are null."""
        return {
            "folder": str(self.directory),
            "synthetic": self.synthetic,
            "method": self.method,
            "a": self.names[0],
            "b": self.names[1],
            "columns": [_column_json(each) for each in self.columns],
            "images_by": self.images_by,
            "images": [{"image": each.image, "a": each.one, "b": each.other} for each in self.images],
        }


def list_models(published: ResultsDirectory) -> list[str]:
    """Names of the models of a results directory, as `architecture/regime`."""
    return sorted({f"{record.architecture}/{record.regime}" for record in published.records.values()})


def compare_models(published: ResultsDirectory, names: tuple[str, str], method: str = "") -> Comparison:
    """Paired differences of two models on the same images.

    Args:
        published: The records.
        names: Of the two models, as `architecture/regime`.
        method: The saliency method; without it the first one.

    Raises:
        UserError: A name is unknown, both are the same, or a record is damaged.
    """
    record = next(iter(published.records.values()))
    method = resolve_name(method, record.methods, "method") if method else record.methods[0]
    known = list_models(published)
    for name in names:
        resolve_name(name, known, "model")
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
        columns=tuple(_columns((one, other), names, context, build_columns(record))),
        images_by=images_by,
        images=tuple(_images(one[images_by], other[images_by], context.images)) if images_by else (),
    )


def _columns(
    ratios: tuple[dict[str, list[RatioStatistic]], dict[str, list[RatioStatistic]]],
    names: tuple[str, str],
    context: BootstrapContext,
    columns: Sequence[Column],
) -> list[Compared]:
    one, other = (
        estimates(known, context.draws, row=name, bounds=column_bounds(columns))
        for known, name in zip(ratios, names, strict=True)
    )
    shared = [column for column in columns if all(_finite(each.get(column.name)) for each in (one, other))]
    found = [difference(one[column.name], other[column.name]) for column in shared]
    adjusted = holm(np.array([each.p for each in found]))
    return [
        Compared(
            column=column,
            one=one[column.name],
            other=other[column.name],
            difference=known,
            adjusted=float(p),
            verdict=_verdict(column, known.value, told_apart=bool(p < ALPHA)),
        )
        for column, known, p in zip(shared, found, adjusted, strict=True)
    ]


def _finite(known: Estimate | None) -> bool:
    return known is not None and bool(np.isfinite(known.value))


def _verdict(column: Column, value: float, *, told_apart: bool) -> str:
    if not told_apart:
        return "not told apart at this n"
    first = "A" if (value > 0) == (column.higher_is_better is not False) else "B"
    return f"{first} {'better' if column.higher_is_better is not None else 'higher'}"


def _images(one: Sequence[RatioStatistic], other: Sequence[RatioStatistic], names: Sequence[str]) -> list[ImagePair]:
    """Images with the largest differences, of each sign."""
    first, second = _by_image(one), _by_image(other)
    gap = first - second
    places = np.flatnonzero(np.isfinite(gap))
    order = places[np.argsort(-gap[places], kind="stable")]
    ahead = [place for place in order[:NUM_SHOWN_IMAGES] if gap[place] > 0]
    behind = [place for place in order[::-1][:NUM_SHOWN_IMAGES] if gap[place] < 0]
    return [
        ImagePair(image=names[place], place=int(place), one=float(first[place]), other=float(second[place]))
        for place in (*ahead, *behind)
    ]


def _by_image(seeds: Sequence[RatioStatistic]) -> NDArray[np.float64]:
    """Mean over seeds of each image's score (N,); NaN where an image has none."""
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


def _column_json(each: Compared) -> dict[str, Any]:
    known = each.difference
    numbers = {
        "a": each.one.value,
        "b": each.other.value,
        "difference": known.value,
        "low": known.low,
        "high": known.high,
        "p": known.p,
        "p_holm": each.adjusted,
        "wilcoxon": known.wilcoxon,
        "rank_biserial": known.effect,
    }
    return {
        "column": each.column.name,
        "higher_is_better": each.column.higher_is_better,
        **{name: number if np.isfinite(number) else None for name, number in numbers.items()},
        "images": each.one.images,
        "groups": known.groups,
        "verdict": each.verdict,
    }
