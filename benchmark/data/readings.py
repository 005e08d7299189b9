"""Images that are not read exactly as stored, and masks that look as if they mark the wrong thing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.phrases import format_count
from benchmark.runtime.parallel import parallel_map
from datasets import BadFileError, Sample, printable
from datasets.image_io import READINGS, find_readings

CHANGED_PIXELS = frozenset({"turned", "background", "window"})
"""Readings that earlier versions lacked. They enter the keys of the images that need them, and of no others."""
Readings = Sequence[tuple[str, ...]]
"""What is done to each image, as keys of READINGS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkedArea:
    """The area that the raters marked on one image.

    Attributes:
        fraction: Marked fraction of the image, in [0, 1].
        corners: Whether all four corners are marked.
    """

    fraction: float
    corners: bool


def load_readings(samples: Sequence[Sample]) -> Readings:
    """Returns what is done to each image. A file that cannot be read has none: decoding reports it."""
    return list(parallel_map(_find, samples))


def describe_readings(samples: Sequence[Sample], readings: Readings) -> list[str]:
    """Returns one line for each kind of reading that occurs."""
    names: dict[str, list[str]] = {}
    for sample, done in zip(samples, readings, strict=True):
        for reading in done:
            names.setdefault(reading, []).append(sample.id)
    return [
        f"{format_count(len(ids), 'image')} {READINGS[name]}, such as {printable(ids[0])}"
        for name, ids in sorted(names.items())
    ]


def measure_area(mask: NDArray[np.bool_]) -> MarkedArea:
    """Measures a mask (H, W)."""
    return MarkedArea(fraction=float(mask.mean()), corners=bool(mask[[0, 0, -1, -1], [0, -1, 0, -1]].all()))


def describe_areas(areas: Iterable[MarkedArea]) -> list[str]:
    """Returns a line if more than half of the masks look inverted: they mark most of the image, or all its corners."""
    marked = [area for area in areas if area.fraction]
    most = sum(area.fraction > 0.5 for area in marked)
    corners = sum(area.corners for area in marked)
    if 2 * max(most, corners) <= len(marked):
        return []
    text = f"{most} of {len(marked)} masks mark more than half of their image, {corners} mark all four corners"
    return [f"{text}: are they inverted? Marked pixels must be white"]


def _find(sample: Sample) -> tuple[str, ...]:
    try:
        return find_readings(sample)
    except BadFileError:
        return ()
