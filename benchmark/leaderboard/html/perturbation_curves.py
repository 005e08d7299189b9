"""The mean perturbation curves of a model beside those of all models, from the files that lie beside the records."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.leaderboard.html.page_input import digits
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.table import Row

KINDS = ("insertion", "deletion")
COLUMNS = ["method", "kind", "step", "share", "probability"]
MOST_ROWS = 20_000_000
"""Of a file that is read; 10,000 images of two methods have 840,000 at 20 steps."""
MOST_STEPS = 1000

Course = NDArray[np.float64]
"""Share of the pixels and mean probability after each step, (2, K + 1)."""
Courses = Mapping[tuple[str, str], Course]
"""By saliency method and kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationPanel:
    """Mean insertion and deletion curve of a model, as points of SVG polylines in a frame of 100 by 100.

    Attributes:
        method: The saliency method whose maps gave the order.
        insertion: Points of the model's mean insertion curve.
        deletion: Points of its mean deletion curve.
        others: The same two, mean over all models; empty where the model is alone.
        told: The panel in words.
    """

    method: str
    insertion: str
    deletion: str
    others: tuple[str, ...]
    told: str


def build_perturbation_panels(
    rows: Sequence[Row], published: ResultsDirectory
) -> dict[tuple[str, str], tuple[PerturbationPanel, ...]]:
    """Panels by name and regime of the model, one per saliency method; a model whose records have no curves has none.

    Args:
        rows: The models; the means for comparison are over all of them that have curves.
        published: The records.
    """
    paths: dict[tuple[str, str, int], list[Path]] = defaultdict(list)
    for path, record in published.records.items():
        paths[record.architecture, record.regime, record.seed].append(path)
    found = {
        (row.name, row.regime): _mean(
            read_courses(path) for seed in row.seeds for path in paths[row.name, row.regime, seed]
        )
        for row in rows
    }
    found = {name: courses for name, courses in found.items() if courses}
    everyone = _mean(found.values())
    methods = list(dict.fromkeys(name for record in published.records.values() for name in record.methods))
    return {
        name: tuple(
            _panel(method, courses, everyone if len(found) > 1 else {})
            for method in methods
            if all((method, kind) in courses for kind in KINDS)
        )
        for name, courses in found.items()
    }


def read_courses(record: Path) -> dict[tuple[str, str], Course]:
    """Mean curves over the images of a record by method and kind; none where the file is absent or damaged.

    Images whose map is no order, and so has no curve, have no say.
    """
    path = record.with_name(f"{record.stem}.curves.parquet")
    try:
        if not 0 < pq.read_metadata(path).num_rows <= MOST_ROWS:
            return {}
        table = pq.read_table(path, columns=COLUMNS, use_threads=False)
        # Cast, so that a file in which the columns are of another type is refused here.
        step, share, probability = (
            table[name].cast(wanted)
            for name, wanted in zip(COLUMNS[2:], (pa.int64(), pa.float64(), pa.float64()), strict=True)
        )
        method, kind = (table[name].cast(pa.string()).combine_chunks().dictionary_encode() for name in COLUMNS[:2])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return {}
    if method.null_count or kind.null_count or step.null_count:
        return {}
    numbers = step.to_numpy(), share.to_numpy(), probability.to_numpy()
    if numbers[0].min() < 0 or numbers[0].max() > MOST_STEPS:
        return {}
    found = {}
    for place, name in enumerate(method.dictionary.to_pylist()):
        for number, which in enumerate(kind.dictionary.to_pylist()):
            own = (method.indices.to_numpy() == place) & (kind.indices.to_numpy() == number)
            course = _course(*(each[own] for each in numbers))
            if which in KINDS and course is not None:
                found[name, which] = course
    return found


def _course(step: NDArray[np.int64], share: NDArray[np.float64], probability: NDArray[np.float64]) -> Course | None:
    """Mean by step; None where a step is missing or a number lies outside of [0, 1]."""
    known = np.isfinite(probability)
    step, numbers = step[known], np.stack([share[known], probability[known]])
    if not len(step) or not ((numbers >= 0) & (numbers <= 1)).all():
        return None
    counts = np.bincount(step)
    if len(counts) < 2 or not counts.all():
        return None
    return np.stack([np.bincount(step, weights=each) for each in numbers]) / counts


def _mean(everything: Iterable[Courses]) -> dict[tuple[str, str], Course]:
    """Mean of curves of as many steps as the first one of its method and kind has."""
    together: dict[tuple[str, str], list[Course]] = defaultdict(list)
    for courses in everything:
        for name, course in courses.items():
            if course.shape == together.get(name, [course])[0].shape:
                together[name].append(course)
    return {name: np.mean(courses, axis=0) for name, courses in together.items()}


def _panel(method: str, own: Courses, everyone: Courses) -> PerturbationPanel:
    told = [
        f"{kind}, area {digits(_area(own[method, kind]))}{_against(everyone.get((method, kind)))}" for kind in KINDS
    ]
    return PerturbationPanel(
        method=method,
        insertion=_points(own[method, "insertion"]),
        deletion=_points(own[method, "deletion"]),
        others=tuple(_points(everyone[method, kind]) for kind in KINDS if (method, kind) in everyone),
        told=f"Mean probability of the explained class, by {method}: {'; '.join(told)}",
    )


def _against(course: Course | None) -> str:
    return "" if course is None else f" (all models {digits(_area(course))})"


def _area(course: Course) -> float:
    return float(np.trapezoid(course[1], course[0]))


def _points(course: Course) -> str:
    return " ".join(f"{100 * share:.1f},{100 * (1 - probability):.1f}" for share, probability in course.T)
