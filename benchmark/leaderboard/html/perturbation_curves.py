"""Mean perturbation curves of a model and of all models, from the files next to the records."""

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
from benchmark.storage.results import sidecar_file

KINDS = ("insertion", "deletion")
COLUMNS = ["method", "kind", "step", "share", "probability"]
MAX_ROWS = 20_000_000
"""Maximum number of rows of a file. 10,000 images of two methods have 840,000 at 20 steps."""
MAX_STEPS = 1000

MeanCurve = NDArray[np.float64]
"""Fraction of the pixels and mean probability after each step, (2, K + 1)."""
MeanCurves = Mapping[tuple[str, str], MeanCurve]
"""Curves by saliency method and kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationPanel:
    """Mean insertion and deletion curve of a model, as points of SVG polylines in a frame of 100 by 100.

    Attributes:
        method: The saliency method whose maps order the pixels.
        insertion: Points of the model's mean insertion curve.
        deletion: Points of its mean deletion curve.
        others: The same two curves, mean over all models. Empty for a single model.
        description: Text for screen readers.
    """

    method: str
    insertion: str
    deletion: str
    others: tuple[str, ...]
    description: str


def build_perturbation_panels(
    rows: Sequence[Row], published: ResultsDirectory
) -> dict[tuple[str, str], tuple[PerturbationPanel, ...]]:
    """Builds the panels of each model, one per saliency method.

    Args:
        rows: The models. The means for comparison are over all of them that have curves.
        published: The records.

    Returns:
        Panels by name and regime. A model whose records have no curves is absent.
    """
    models = published.models
    curves_by_model = {
        (row.name, row.regime): _mean(
            read_mean_curves(path)
            for path in sorted(models[row.name, row.regime], key=lambda path: published.records[path].seed)
            if published.records[path].seed in row.seeds
        )
        for row in rows
    }
    curves_by_model = {model: curves for model, curves in curves_by_model.items() if curves}
    all_models = _mean(curves_by_model.values())
    methods = list(dict.fromkeys(name for record in published.records.values() for name in record.methods))
    return {
        model: tuple(
            _panel(method, curves, all_models if len(curves_by_model) > 1 else {})
            for method in methods
            if all((method, kind) in curves for kind in KINDS)
        )
        for model, curves in curves_by_model.items()
    }


def read_mean_curves(record: Path) -> dict[tuple[str, str], MeanCurve]:
    """Reads the mean curves over the images of a record, by method and kind.

    Images without a curve, whose map is constant, do not count. Returns no curves where the file is absent or damaged.
    """
    path = sidecar_file(record, "curves.parquet")
    try:
        if not 0 < pq.read_metadata(path).num_rows <= MAX_ROWS:
            return {}
        table = pq.read_table(path, columns=COLUMNS, use_threads=False)
        # The casts reject a file with columns of other types.
        step, share, probability = (
            table[name].cast(dtype)
            for name, dtype in zip(COLUMNS[2:], (pa.int64(), pa.float64(), pa.float64()), strict=True)
        )
        method, kind = (table[name].cast(pa.string()).combine_chunks().dictionary_encode() for name in COLUMNS[:2])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return {}
    if method.null_count or kind.null_count or step.null_count:
        return {}
    columns = step.to_numpy(), share.to_numpy(), probability.to_numpy()
    if columns[0].min() < 0 or columns[0].max() > MAX_STEPS:
        return {}
    curves = {}
    for method_index, method_name in enumerate(method.dictionary.to_pylist()):
        for kind_index, kind_name in enumerate(kind.dictionary.to_pylist()):
            selected = (method.indices.to_numpy() == method_index) & (kind.indices.to_numpy() == kind_index)
            curve = _mean_over_images(*(column[selected] for column in columns))
            if kind_name in KINDS and curve is not None:
                curves[method_name, kind_name] = curve
    return curves


def _mean_over_images(
    step: NDArray[np.int64], fraction: NDArray[np.float64], probability: NDArray[np.float64]
) -> MeanCurve | None:
    """Returns the mean by step. None where a step is missing or a value is outside of [0, 1]."""
    finite = np.isfinite(probability)
    step, values = step[finite], np.stack([fraction[finite], probability[finite]])
    if not len(step) or not ((values >= 0) & (values <= 1)).all():
        return None
    counts = np.bincount(step)
    if len(counts) < 2 or not counts.all():
        return None
    return np.stack([np.bincount(step, weights=row) for row in values]) / counts


def _mean(sets: Iterable[MeanCurves]) -> dict[tuple[str, str], MeanCurve]:
    """Averages curves by method and kind. Those with another number of steps than the first one are skipped."""
    grouped: dict[tuple[str, str], list[MeanCurve]] = defaultdict(list)
    for curves in sets:
        for name, curve in curves.items():
            if curve.shape == grouped.get(name, [curve])[0].shape:
                grouped[name].append(curve)
    return {name: np.mean(curves, axis=0) for name, curves in grouped.items()}


def _panel(method: str, own: MeanCurves, all_models: MeanCurves) -> PerturbationPanel:
    areas = [
        f"{kind}, area {digits(_area(own[method, kind]))}{_format_reference(all_models.get((method, kind)))}"
        for kind in KINDS
    ]
    return PerturbationPanel(
        method=method,
        insertion=_points(own[method, "insertion"]),
        deletion=_points(own[method, "deletion"]),
        others=tuple(_points(all_models[method, kind]) for kind in KINDS if (method, kind) in all_models),
        description=f"Mean probability of the explained class, by {method}: {'; '.join(areas)}",
    )


def _format_reference(curve: MeanCurve | None) -> str:
    return "" if curve is None else f" (all models {digits(_area(curve))})"


def _area(curve: MeanCurve) -> float:
    return float(np.trapezoid(curve[1], curve[0]))


def _points(curve: MeanCurve) -> str:
    return " ".join(f"{100 * fraction:.1f},{100 * (1 - probability):.1f}" for fraction, probability in curve.T)
