"""Scoring maps: one row per image, method and metric, and per reference where masks are asked for."""

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
"""Pixels of the maps that are scored at once: 20 maps of 224 px, 113 of 96. A CPU is twice as slow with ten times as
many, which outgrow what the allocator keeps."""
MAX_CONTEXT_IMAGES = 32
"""Most images that a probe holds at once."""
MASK_LEVELS = {
    "union": "image",
    "characteristic-union": "characteristic",
    "rater-union": "rater",
    "shortcut": "shortcut",
}
"""Which references serve as hard masks, and the level their scores are listed under.

They are unions, drawn at the image's own size. Shrunk to the side of the maps, a pixel is of the mask if at least
half of it was.
"""
LESION_LEVELS = {"union": "image"}
"""The same for a metric that looks at the image within the mask: it asks about the lesion, not about a planted mark."""
REFERENCE_LEVELS = {"image": "image", "characteristic": "characteristic", "rater": "rater"}
"""Which references serve as soft masks, and the level their scores are listed under."""

MODEL_INPUTS = frozenset({"curves", "context"})
"""Inputs that need the model."""

Rows = tuple[NDArray[np.generic], NDArray[np.intp]]
"""An array, and which of its rows are taken."""
INPUT_CONVERTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "saliency": lambda maps: maps.float(),
    "reference": lambda planes: planes.float() / 255,
    "mask": lambda planes: planes > 127,
    "images": lambda pixels: to_float(pixels.permute(0, 3, 1, 2)),
}
"""What a metric may ask for, from rows as they are stored."""


def score_maps(
    maps: NDArray[np.float16],
    data: ImageDataset,
    metrics: Sequence[Metric],
    *,
    device: torch.device,
    contexts: tuple[NDArray[np.intp], ContextFactory] | None = None,
) -> pd.DataFrame:
    """Scores of the maps of all test images.

    Args:
        maps: One per test image, (T, S, S), in [0, 1], in the order of `data.test`.
        data: Images and references.
        metrics: What to compute; metrics that need the model are left out where there are no probes.
        device: Where to compute.
        contexts: Places of some of the test images, and what makes a probe of some of these.

    Returns:
        Columns image, metric, level, rater, characteristic, value. The level `map` needs no mask; `shortcut` is
        the planted mark, everything else as in :class:`benchmark.data.references.Reference`.
    """
    ids = data.samples["id"].to_numpy()[data.test]
    asking = [metric for metric in metrics if metric.inputs & MODEL_INPUTS]
    parts = _probed(asking, ids, *contexts) if contexts is not None else []
    for metric in metrics:
        if metric in asking:
            continue
        if "reference" in metric.inputs:
            parts += [_against(metric, maps, data, levels, device) for levels in REFERENCE_LEVELS.items()]
        elif "mask" in metric.inputs:
            wanted = LESION_LEVELS if "images" in metric.inputs else MASK_LEVELS
            parts += [_against(metric, maps, data, levels, device) for levels in wanted.items()]
        else:
            values = _in_chunks(metric, device, saliency=(maps, np.arange(len(maps))), images=(data.images, data.test))
            parts.append(_frame(metric, pd.DataFrame({"image": ids}), "map", values))
    return pd.concat(parts, ignore_index=True)


def score_mask_arrays(
    metric: Metric, maps: NDArray[np.generic], planes: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float64]:
    """Scores of maps (M, S, S) in [0, 1] against as many reference planes (M, S, S), uint8."""
    rows = np.arange(len(maps))
    return _in_chunks(metric, device, saliency=(maps, rows), reference=(planes, rows), mask=(planes, rows))


def _probed(
    metrics: Sequence[Metric], ids: NDArray[np.object_], places: NDArray[np.intp], make: ContextFactory
) -> list[pd.DataFrame]:
    """Scores of the metrics that need the model; each probe serves them all and is dropped before the next."""
    found: dict[str, list[NDArray[np.float64]]] = {metric.name: [] for metric in metrics}
    for start in range(0, len(places) if metrics else 0, MAX_CONTEXT_IMAGES):
        context = make(places[start : start + MAX_CONTEXT_IMAGES])
        for metric in metrics:
            given = {"curves": context.curves()} if "curves" in metric.inputs else {"context": context}
            found[metric.name].append(metric.compute(**given).double().cpu().numpy())
    images = pd.DataFrame({"image": ids[places]})
    return [_frame(metric, images, "map", np.concatenate(found[metric.name])) for metric in metrics if len(places)]


def _against(
    metric: Metric, maps: NDArray[np.float16], data: ImageDataset, levels: tuple[str, str], device: torch.device
) -> pd.DataFrame:
    """Scores against every reference of the first level, listed under the second."""
    source, level = levels
    place = pd.Series(np.arange(len(data.test)), index=data.test)
    wanted = data.references[(data.references["level"] == source) & data.references["sample"].isin(data.test)]
    samples = wanted["sample"].to_numpy()
    planes = data.planes, wanted.index.to_numpy()
    values = _in_chunks(
        metric,
        device,
        saliency=(maps, place[samples].to_numpy()),
        reference=planes,
        mask=planes,
        images=(data.images, samples),
    )
    names = wanted[["rater", "characteristic"]].reset_index(drop=True)
    names.insert(0, "image", data.samples["id"].to_numpy()[samples])
    return _frame(metric, names, level, values)


def _in_chunks(metric: Metric, device: torch.device, **stored: Rows) -> NDArray[np.float64]:
    """Scores of as many rows of each of :data:`AS_INPUT` as there are maps; only what is asked for is read."""
    values = []
    maps, places = stored["saliency"]
    chunk = max(1, MAX_CHUNK_PIXELS // maps[0].size) if len(maps) else 1
    for start in range(0, len(places), chunk):
        part = {name: (array, rows[start : start + chunk]) for name, (array, rows) in stored.items()}
        values.append(_scored(metric, device, part))
    return np.concatenate(values) if values else np.zeros(0)


def _scored(metric: Metric, device: torch.device, stored: dict[str, Rows]) -> NDArray[np.float64]:
    """Scores of a few rows; in a function of its own, so that its inputs are gone before the next ones are read."""
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
