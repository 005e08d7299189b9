"""The baselines of a data set's masks alone: no image is opened and no model is asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.baselines import AGAIN, CONSTANT, NOISE, RATER
from benchmark.baselines.trivial import gaussian_name, gaussian_profile, noise
from benchmark.data.references import Drawing, Plane
from benchmark.errors import UserError
from benchmark.runtime.parallel import in_order
from datasets import Aggregation, DatasetIndex, Sample

WIDTHS = (0.1, 0.2, 0.3, 0.4)
SCORES = ("f1", "sensitivity", "specificity")
KEYS = ["baseline", "level", "characteristic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Fuzzy overlap of a map with a reference, from three sums: what lies outside the masks is never looked at.

    Equal to `map_f1`, `map_sensitivity` and `map_specificity` of :mod:`metrics.overlap`.

    Attributes:
        shared: Sum of the smaller of map and reference.
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
        """F1, sensitivity and specificity; NaN where the reference marks nothing, or everything for the last."""
        rest = self.pixels - self.reference
        left_out = rest - self.saliency + self.shared
        empty = self.reference == 0
        return (
            np.nan if empty else 2 * self.shared / (self.saliency + self.reference),
            np.nan if empty else self.shared / self.reference,
            np.nan if rest == 0 else left_out / rest,
        )


def mask_baselines(data: DatasetIndex, merge: Aggregation, report: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Scores of trivial maps and of raters against the masks, at the masks' own size.

    Maps are scored as they are, without min-max normalization. At characteristic level a score is the mean over
    characteristics of the mean over images; a rater is compared where he and another one drew the characteristic.

    Args:
        data: The index.
        merge: How raters become one.
        report: Called with the number of images done and of all.

    Returns:
        A row for each baseline and level: baseline, level, f1, sensitivity, specificity, n (scores that the mean is
        of) and undefined (left out, since nothing was marked).

    Raises:
        UserError: There are no masks, or one is damaged.
    """
    samples = [sample for sample in data.samples if any(mask.reading == 1 for mask in sample.masks)]
    if not samples:
        raise UserError(f"{data.root} has no masks; baselines are measured against masks: unpack them too")
    rows: list[tuple[Any, ...]] = []
    try:
        for number, found in enumerate(in_order(lambda sample: list(_scores(sample, merge)), samples)):
            rows += found
            report(number + 1, len(samples))
    except ValueError as error:
        raise UserError(f"{error}, or leave it out with `data check --quarantine`") from None
    return _means(pd.DataFrame(rows, columns=[*KEYS, *SCORES]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trivial:
    """A trivial map: its name, its values within the window of the masks and its sum over the image."""

    name: str
    window: NDArray[np.float32]
    total: float


def _scores(sample: Sample, merge: Aggregation) -> Iterator[tuple[Any, ...]]:
    """Baseline, level, characteristic and scores."""
    drawing = Drawing([mask for mask in sample.masks if mask.reading == 1], None)
    trivial = list(_trivial(drawing, sample.id))
    targets: list[tuple[str, str | None]] = [("image", None)]
    targets += [("characteristic", name) for name in drawing.characteristics]
    for level, name in targets:
        reference = _Marked(drawing.merged(merge, characteristic=name), drawing.shape)
        for each in trivial:
            yield each.name, level, name or "", *reference.overlap(each.window, each.total).scores
        for rater in drawing.raters if len(drawing.raters) > 1 else ():
            others = [other for other in drawing.raters if other != rater and drawing.drew(other, name)]
            if others and drawing.drew(rater, name):
                against = _Marked(drawing.merged(merge, others, name), drawing.shape)
                own = drawing.merged(merge, [rater], name)
                yield RATER, level, name or "", *against.overlap_with(own).scores
    yield from _second_readings(sample, drawing, merge)


class _Marked:
    """The marked pixels of a reference: the others add nothing to what it shares with a map."""

    def __init__(self, plane: Plane, shape: tuple[int, int]) -> None:
        self._places = np.flatnonzero(plane)
        self._values = plane.ravel()[self._places] / np.float32(255)
        self._total = float(plane.sum()) / 255
        self._pixels = shape[0] * shape[1]

    def overlap(self, window: NDArray[np.floating[Any]], total: float) -> Overlap:
        """With a map of which the window and the sum over the image are known."""
        shared = np.minimum(window.ravel()[self._places], self._values).sum(dtype=np.float64)
        return Overlap(shared=float(shared), saliency=total, reference=self._total, pixels=self._pixels)

    def overlap_with(self, plane: Plane) -> Overlap:
        """With another plane, which marks nothing outside of the window."""
        return self.overlap(plane / np.float32(255), float(plane.sum()) / 255)


def _trivial(drawing: Drawing, name: str) -> Iterator[Trivial]:
    (height, width), window = drawing.shape, drawing.window
    size = window[0].stop - window[0].start, window[1].stop - window[1].start
    yield Trivial(name=CONSTANT, window=np.full(size, 0.5, dtype=np.float32), total=0.5 * height * width)
    static = noise(drawing.shape, name)
    yield Trivial(name=NOISE, window=static[window], total=float(static.sum(dtype=np.float64)))
    for sigma in WIDTHS:
        down, along = gaussian_profile(height, sigma), gaussian_profile(width, sigma)
        part = np.outer(down[window[0]].astype(np.float32), along[window[1]].astype(np.float32))
        yield Trivial(name=gaussian_name(sigma), window=part, total=float(down.sum() * along.sum()))


def _second_readings(sample: Sample, first: Drawing, merge: Aggregation) -> Iterator[tuple[Any, ...]]:
    masks = [mask for mask in sample.masks if mask.reading == 2 and first.drew(mask.rater, None)]
    if not masks:
        return
    again = Drawing(masks, (first.shape[1], first.shape[0]))
    for rater in again.raters:
        before = _Marked(first.whole(first.merged(merge, [rater])), first.shape)
        yield AGAIN, "image", "", *before.overlap_with(again.whole(again.merged(merge, [rater]))).scores


def _means(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The mean of each characteristic first, then over characteristics."""
    rows = []
    for (baseline, level), found in frame.groupby(["baseline", "level"], sort=False):
        means = found.groupby("characteristic")[list(SCORES)].mean().mean()
        defined = int(found["f1"].notna().sum())
        # JSON has no NaN: where every mask is empty there is no score.
        scores = {name: None if pd.isna(means[name]) else float(means[name]) for name in SCORES}
        row = {"baseline": baseline, "level": level, **scores}
        rows.append(row | {"n": defined, "undefined": len(found) - defined})
    return sorted(rows, key=lambda row: row["level"] != "image")
