"""Scores maps: one row per image, method and metric, and per reference for metrics that need masks."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.dataset import ImageDataset
from benchmark.runtime.tensors import to_float
from benchmark.scoring.perturbation import ContextFactory
from metrics import Metric
from metrics.normalize import normalize

MAX_CHUNK_PIXELS = 2**20
"""Maximum number of pixels of maps per chunk: 20 maps of 224 px, 113 of 96 px. Ten times as many halve the speed of a
CPU, since they exceed the memory that the allocator caches."""
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
    "saliency": lambda maps: maps.float(),
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
    for metric in metrics:
        if metric in with_model:
            continue
        if "reference" in metric.inputs:
            parts += [_score_references(metric, maps, data, levels, device) for levels in REFERENCE_LEVELS.items()]
        elif "mask" in metric.inputs:
            mask_levels = LESION_LEVELS if "images" in metric.inputs else MASK_LEVELS
            parts += [_score_references(metric, maps, data, levels, device) for levels in mask_levels.items()]
        else:
            values = _in_chunks(metric, device, saliency=(maps, np.arange(len(maps))), images=(data.images, data.test))
            parts.append(_frame(metric, pd.DataFrame({"image": ids}), "map", values))
    return pd.concat(parts, ignore_index=True)


def score_mask_arrays(
    metric: Metric, maps: NDArray[np.generic], planes: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float64]:
    """Scores maps (M, S, S) in [0, 1] against reference mask arrays (M, S, S), uint8."""
    rows = np.arange(len(maps))
    return _in_chunks(metric, device, saliency=(maps, rows), reference=(planes, rows), mask=(planes, rows))


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


def _score_references(
    metric: Metric, maps: NDArray[np.float16], data: ImageDataset, levels: tuple[str, str], device: torch.device
) -> pd.DataFrame:
    """Scores maps against every reference of the first level. The rows have the second level."""
    source, level = levels
    map_index = pd.Series(np.arange(len(data.test)), index=data.test)
    references = data.references[(data.references["level"] == source) & data.references["sample"].isin(data.test)]
    samples = references["sample"].to_numpy()
    mask_arrays = data.mask_arrays, references.index.to_numpy()
    values = _in_chunks(
        metric,
        device,
        saliency=(maps, map_index[samples].to_numpy()),
        reference=mask_arrays,
        mask=mask_arrays,
        images=(data.images, samples),
    )
    names = references[["rater", "characteristic"]].reset_index(drop=True)
    names.insert(0, "image", data.samples["id"].to_numpy()[samples])
    return _frame(metric, names, level, values)


def _in_chunks(metric: Metric, device: torch.device, **stored: Rows) -> NDArray[np.float64]:
    """Scores maps in chunks. `stored` has rows of :data:`INPUT_CONVERTERS`. Reads only the inputs of the metric."""
    values = []
    maps, indices = stored["saliency"]
    chunk = max(1, MAX_CHUNK_PIXELS // maps[0].size) if len(maps) else 1
    for start in range(0, len(indices), chunk):
        part = {name: (array, rows[start : start + chunk]) for name, (array, rows) in stored.items()}
        values.append(_score_rows(metric, device, part))
    return np.concatenate(values) if values else np.zeros(0)


def _score_rows(metric: Metric, device: torch.device, stored: dict[str, Rows]) -> NDArray[np.float64]:
    """Scores a few rows. A separate function, so that its inputs are freed before the next ones are read."""
    inputs: dict[str, Tensor] = {}
    for name in metric.inputs:
        array, rows = stored[name]
        inputs[name] = INPUT_CONVERTERS[name](torch.as_tensor(array[rows], device=device))
    if "reference" in metric.inputs:
        inputs["saliency"] = normalize(inputs["saliency"])
    return np.asarray(metric.compute(**inputs).double().cpu().numpy())


def _frame(metric: Metric, names: pd.DataFrame, level: str, values: NDArray[np.float64]) -> pd.DataFrame:
    fixed = {"metric": metric.name, "level": level}
    absent = {name: "" for name in ("rater", "characteristic") if name not in names}
    frame = names.assign(**fixed, **absent).assign(value=values.astype(np.float64))
    return frame[["image", "metric", "level", "rater", "characteristic", "value"]]
