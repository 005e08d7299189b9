"""Baselines from the masks of a data set alone, without images or models."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.baselines import AGAIN, CONSTANT, NOISE, RATER
from benchmark.baselines.trivial import gaussian_name, gaussian_profile, noise
from benchmark.data.references import Drawing, MaskArray
from benchmark.errors import UserError
from benchmark.runtime.parallel import parallel_map
from datasets import Aggregation, DatasetIndex, Sample

WIDTHS = (0.1, 0.2, 0.3, 0.4)
SCORES = ("f1", "sensitivity", "specificity")
KEYS = ["baseline", "level", "characteristic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Fuzzy overlap of a map with a reference, from three sums. It needs no pixels outside of the masks.

    The scores equal `map_f1`, `map_sensitivity` and `map_specificity` of :mod:`metrics.overlap`.

    Attributes:
        shared: Sum of the minimum of map and reference.
        saliency: Sum of the map.
        reference: Sum of the reference.
        pixels: Number of pixels.
    """

    shared: float
    saliency: float
    reference: float
    pixels: int

    @property
    def scores(self) -> tuple[float, float, float]:
        """F1, sensitivity and specificity. NaN for an empty reference, and for specificity for a full one."""
        negatives = self.pixels - self.reference
        true_negatives = negatives - self.saliency + self.shared
        empty = self.reference == 0
        return (
            np.nan if empty else 2 * self.shared / (self.saliency + self.reference),
            np.nan if empty else self.shared / self.reference,
            np.nan if negatives == 0 else true_negatives / negatives,
        )


def mask_baselines(
    data: DatasetIndex, aggregation: Aggregation, report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Computes scores of trivial maps and of raters against the masks, at the original size of the masks.

    Maps are scored without min-max normalization. At characteristic level a score is the mean over characteristics of
    the mean over images. A rater is compared where this rater and another one annotated the characteristic.

    Args:
        data: Index of the data set.
        aggregation: How to merge the masks of several raters.
        report: Called with the number of finished images and of all images.

    Returns:
        A row for each baseline and level: baseline, level, f1, sensitivity, specificity, n (number of scores in the
        mean) and undefined (number of scores left out, since the reference is empty).

    Raises:
        UserError: There are no masks, or one is damaged.
    """
    samples = [sample for sample in data.samples if any(mask.reading == 1 for mask in sample.masks)]
    if not samples:
        raise UserError(f"{data.root} has no masks; baselines are scored against masks: unpack them too")
    rows: list[tuple[Any, ...]] = []
    try:
        for index, scores in enumerate(parallel_map(lambda sample: list(_scores(sample, aggregation)), samples)):
            rows += scores
            report(index + 1, len(samples))
    except ValueError as error:
        raise UserError(f"{error}, or leave it out with `data check --quarantine`") from None
    return _means(pd.DataFrame(rows, columns=[*KEYS, *SCORES]))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrivialMap:
    """A trivial map: its name, its values within the window of the masks and its sum over the image."""

    name: str
    window: NDArray[np.float32]
    total: float


def _scores(sample: Sample, aggregation: Aggregation) -> Iterator[tuple[Any, ...]]:
    """Yields baseline, level, characteristic and scores."""
    drawing = Drawing([mask for mask in sample.masks if mask.reading == 1], None)
    trivial_maps = list(_trivial_maps(drawing, sample.id))
    targets: list[tuple[str, str | None]] = [("image", None)]
    targets += [("characteristic", name) for name in drawing.characteristics]
    for level, name in targets:
        reference = _MarkedPixels(drawing.merged(aggregation, characteristic=name), drawing.shape)
        for trivial in trivial_maps:
            yield trivial.name, level, name or "", *reference.overlap(trivial.window, trivial.total).scores
        for rater in drawing.raters if len(drawing.raters) > 1 else ():
            others = [other for other in drawing.raters if other != rater and drawing.drew(other, name)]
            if others and drawing.drew(rater, name):
                against = _MarkedPixels(drawing.merged(aggregation, others, name), drawing.shape)
                own = drawing.merged(aggregation, [rater], name)
                yield RATER, level, name or "", *against.overlap_with(own).scores
    yield from _second_readings(sample, drawing, aggregation)


class _MarkedPixels:
    """The marked pixels of a reference. Only they add to its intersection with a map."""

    def __init__(self, plane: MaskArray, shape: tuple[int, int]) -> None:
        self._indices = np.flatnonzero(plane)
        self._values = plane.ravel()[self._indices] / np.float32(255)
        self._total = float(plane.sum()) / 255
        self._pixels = shape[0] * shape[1]

    def overlap(self, window: NDArray[np.floating[Any]], total: float) -> Overlap:
        """Computes the overlap with a map, from its window and its sum over the image."""
        shared = np.minimum(window.ravel()[self._indices], self._values).sum(dtype=np.float64)
        return Overlap(shared=float(shared), saliency=total, reference=self._total, pixels=self._pixels)

    def overlap_with(self, plane: MaskArray) -> Overlap:
        """Computes the overlap with another mask array, which is 0 outside of the window."""
        return self.overlap(plane / np.float32(255), float(plane.sum()) / 255)


def _trivial_maps(drawing: Drawing, name: str) -> Iterator[TrivialMap]:
    (height, width), window = drawing.shape, drawing.window
    size = window[0].stop - window[0].start, window[1].stop - window[1].start
    yield TrivialMap(name=CONSTANT, window=np.full(size, 0.5, dtype=np.float32), total=0.5 * height * width)
    static = noise(drawing.shape, name)
    yield TrivialMap(name=NOISE, window=static[window], total=float(static.sum(dtype=np.float64)))
    for sigma in WIDTHS:
        vertical, horizontal = gaussian_profile(height, sigma), gaussian_profile(width, sigma)
        part = np.outer(vertical[window[0]].astype(np.float32), horizontal[window[1]].astype(np.float32))
        yield TrivialMap(name=gaussian_name(sigma), window=part, total=float(vertical.sum() * horizontal.sum()))


def _second_readings(sample: Sample, first: Drawing, aggregation: Aggregation) -> Iterator[tuple[Any, ...]]:
    masks = [mask for mask in sample.masks if mask.reading == 2 and first.drew(mask.rater, None)]
    if not masks:
        return
    second = Drawing(masks, (first.shape[1], first.shape[0]))
    for rater in second.raters:
        reference = _MarkedPixels(first.whole(first.merged(aggregation, [rater])), first.shape)
        repeated = second.whole(second.merged(aggregation, [rater]))
        yield AGAIN, "image", "", *reference.overlap_with(repeated).scores


def _means(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Computes means over images for each characteristic, then means over characteristics."""
    rows = []
    for (baseline, level), group in frame.groupby(["baseline", "level"], sort=False):
        means = group.groupby("characteristic")[list(SCORES)].mean().mean()
        defined = int(group["f1"].notna().sum())
        # JSON has no NaN. There is no score where every mask is empty.
        scores = {name: None if pd.isna(means[name]) else float(means[name]) for name in SCORES}
        row = {"baseline": baseline, "level": level, **scores}
        rows.append(row | {"n": defined, "undefined": len(group) - defined})
    return sorted(rows, key=lambda row: row["level"] != "image")
