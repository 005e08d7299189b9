"""Scores maps: one row per image, method and metric, and per reference for metrics that need masks."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.dataset import ImageDataset
from benchmark.runtime.device import return_freed_memory
from benchmark.runtime.mapped import release_pages
from benchmark.runtime.tensors import to_float
from benchmark.scoring.perturbation import ContextFactory
from metrics import Metric
from metrics.normalize import normalize
from metrics.sharing import sharing

MAX_CHUNK_PIXELS = 2**20
"""Maximum number of pixels of maps per chunk: 20 maps of 224 px, 113 of 96 px. Ten times as many halve the speed of a
CPU, since they exceed the memory that the allocator caches."""
CHUNKS_BETWEEN_RETURNS = 8
"""Number of chunks after which freed memory returns to the system. It costs as much as scoring a map or two."""
MAX_CONTEXT_IMAGES = 32
"""Maximum number of images per perturbation context."""
MASK_LEVELS = {
    "union": "image",
    "characteristic-union": "characteristic",
    "rater-union": "rater",
    "shortcut": "shortcut",
}
"""References that serve as hard masks, and the level of their scores.

They are unions at the original size of the image. After resizing to the side of the maps, a pixel belongs to the mask
if at least half of it does.
"""
LESION_LEVELS = {"union": "image"}
"""The same for metrics that read the image within the mask. They score the lesion, not a planted mark."""
REFERENCE_LEVELS = {"image": "image", "characteristic": "characteristic", "rater": "rater"}
"""References that serve as soft masks, and the level of their scores."""

MODEL_INPUTS = frozenset({"curves", "context"})
"""Inputs that need the model."""

Rows = tuple[NDArray[np.generic], NDArray[np.intp]]
"""An array, and the indices of the rows to use."""
INPUT_CONVERTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "saliency": lambda maps: maps.float() / 255 if maps.dtype == torch.uint8 else maps.float(),
    "reference": lambda planes: planes.float() / 255,
    "mask": lambda planes: planes > 127,
    "images": lambda pixels: to_float(pixels.permute(0, 3, 1, 2)),
}
"""Inputs of metrics, each with its conversion from stored rows."""


def score_maps(
    maps: NDArray[np.float16],
    data: ImageDataset,
    metrics: Sequence[Metric],
    *,
    device: torch.device,
    contexts: tuple[NDArray[np.intp], ContextFactory] | None = None,
) -> pd.DataFrame:
    """Scores the maps of all test images.

    Args:
        maps: One per test image, (T, S, S), in [0, 1], in the order of `data.test`.
        data: Images and references.
        metrics: Metrics to compute. Without `contexts`, metrics that need the model are left out.
        device: Where to compute.
        contexts: Indices of some of the test images, and a function that builds a perturbation context of some of
            these.

    Returns:
        Columns image, metric, level, rater, characteristic, value. The level `map` needs no mask. The level
        `shortcut` is the planted mark. The other levels are those of :class:`benchmark.data.references.Reference`.
    """
    ids = data.samples["id"].to_numpy()[data.test]
    with_model = [metric for metric in metrics if metric.inputs & MODEL_INPUTS]
    parts = _score_in_contexts(with_model, ids, *contexts) if contexts is not None else []
    levels = {metric.name: _levels(metric) for metric in metrics if metric not in with_model}
    frames: dict[tuple[str, str], pd.DataFrame] = {}
    # By reference, so that metrics read the same maps and masks together, and share sorted values.
    for source in dict.fromkeys(source for sources in levels.values() for source in sources):
        chosen = [metric for metric in metrics if source in levels.get(metric.name, {})]
        names, values = _score_source(source, chosen, maps, data, device)
        for metric in chosen:
            level = levels[metric.name][source]
            frames[metric.name, source] = _frame(metric, names, level, values[metric.name])
    parts += [frames[name, source] for name, sources in levels.items() for source in sources]
    return pd.concat(parts, ignore_index=True)


def score_mask_arrays(
    metrics: Sequence[Metric],
    mask_arrays: NDArray[np.uint8],
    maps: NDArray[np.intp],
    references: NDArray[np.intp],
    device: torch.device,
) -> dict[str, NDArray[np.float64]]:
    """Scores some mask arrays (M, S, S) as maps against others, by their indices. Returns scores by metric."""
    others = mask_arrays, references
    return _in_chunks(metrics, device, saliency=(mask_arrays, maps), reference=others, mask=others)


def _score_in_contexts(
    metrics: Sequence[Metric], ids: NDArray[np.object_], indices: NDArray[np.intp], build: ContextFactory
) -> list[pd.DataFrame]:
    """Scores metrics that need the model. All of them share each context."""
    values: dict[str, list[NDArray[np.float64]]] = {metric.name: [] for metric in metrics}
    for start in range(0, len(indices) if metrics else 0, MAX_CONTEXT_IMAGES):
        context = build(indices[start : start + MAX_CONTEXT_IMAGES])
        for metric in metrics:
            inputs = {"curves": context.curves()} if "curves" in metric.inputs else {"context": context}
            values[metric.name].append(metric.compute(**inputs).double().cpu().numpy())
    images = pd.DataFrame({"image": ids[indices]})
    return [_frame(metric, images, "map", np.concatenate(values[metric.name])) for metric in metrics if len(indices)]


def _levels(metric: Metric) -> dict[str, str]:
    """Returns the references that a metric is scored against, and the level of its scores. "" is no reference."""
    if "reference" in metric.inputs:
        return REFERENCE_LEVELS
    if "mask" in metric.inputs:
        return LESION_LEVELS if "images" in metric.inputs else MASK_LEVELS
    return {"": "map"}


def _score_source(
    source: str, metrics: Sequence[Metric], maps: NDArray[np.float16], data: ImageDataset, device: torch.device
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float64]]]:
    """Scores maps against every reference of a level, or without a reference. Returns the names of the rows, too."""
    ids = data.samples["id"].to_numpy()
    if not source:
        rows = np.arange(len(maps))
        values = _in_chunks(metrics, device, saliency=(maps, rows), images=(data.images, data.test))
        return pd.DataFrame({"image": ids[data.test]}), values
    map_index = pd.Series(np.arange(len(data.test)), index=data.test)
    references = data.references[(data.references["level"] == source) & data.references["sample"].isin(data.test)]
    samples = references["sample"].to_numpy()
    mask_arrays = data.mask_arrays, references.index.to_numpy()
    values = _in_chunks(
        metrics,
        device,
        saliency=(maps, map_index[samples].to_numpy()),
        reference=mask_arrays,
        mask=mask_arrays,
        images=(data.images, samples),
    )
    names = references[["rater", "characteristic"]].reset_index(drop=True)
    names.insert(0, "image", ids[samples])
    return names, values


def _in_chunks(metrics: Sequence[Metric], device: torch.device, **stored: Rows) -> dict[str, NDArray[np.float64]]:
    """Scores maps in chunks, by name of the metric.

    `stored` has rows of :data:`INPUT_CONVERTERS`. Only the inputs of the metrics are read.
    """
    values: dict[str, list[NDArray[np.float64]]] = {metric.name: [] for metric in metrics}
    maps, indices = stored["saliency"]
    chunk = max(1, MAX_CHUNK_PIXELS // maps[0].size) if len(maps) else 1
    for number, start in enumerate(range(0, len(indices), chunk)):
        part = {name: (array, rows[start : start + chunk]) for name, (array, rows) in stored.items()}
        for name, scores in _score_rows(metrics, device, part).items():
            values[name].append(scores)
        if number % CHUNKS_BETWEEN_RETURNS == CHUNKS_BETWEEN_RETURNS - 1:
            return_freed_memory()
    return {name: np.concatenate(scores) if scores else np.zeros(0) for name, scores in values.items()}


def _score_rows(
    metrics: Sequence[Metric], device: torch.device, stored: dict[str, Rows]
) -> dict[str, NDArray[np.float64]]:
    """Scores a few rows. A separate function, so that its inputs are freed before the next ones are read."""
    inputs: dict[str, Tensor] = {}
    for name in frozenset[str]().union(*(metric.inputs for metric in metrics)):
        array, rows = stored[name]
        inputs[name] = INPUT_CONVERTERS[name](torch.as_tensor(array[rows], device=device))
        release_pages(array)
    with sharing():
        return {metric.name: _score_inputs(metric, inputs) for metric in metrics}


def _score_inputs(metric: Metric, inputs: dict[str, Tensor]) -> NDArray[np.float64]:
    chosen = {name: inputs[name] for name in metric.inputs}
    if "reference" in chosen:
        chosen["saliency"] = normalize(chosen["saliency"])
    return np.asarray(metric.compute(**chosen).double().cpu().numpy())


def _frame(metric: Metric, names: pd.DataFrame, level: str, values: NDArray[np.float64]) -> pd.DataFrame:
    fixed = {"metric": metric.name, "level": level}
    absent = {name: "" for name in ("rater", "characteristic") if name not in names}
    frame = names.assign(**fixed, **absent).assign(value=values.astype(np.float64))
    return frame[["image", "metric", "level", "rater", "characteristic", "value"]]
