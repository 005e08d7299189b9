"""The yardsticks of a table: scored like models, on the same test images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.filters import sobel

from architectures import Architecture
from benchmark.data.prepare import Prepared
from benchmark.explain import draw_maps, on_device, predict
from benchmark.registry import digest, entries
from benchmark.saliency import Method
from benchmark.score import score_maps, score_planes
from benchmark.store import content_key, new_file, runs_folder
from benchmark.yardsticks import CONSTANT, EDGES, NOISE, RATER, UNTRAINED
from benchmark.yardsticks.trivial import gaussian, gaussian_name, noise
from metrics import Metric

GAUSSIAN_WIDTH = 0.2


def yardsticks(
    data: Prepared,
    architectures: Sequence[Architecture],
    methods: Sequence[Method],
    device: torch.device,
    protocol: str,
) -> pd.DataFrame:
    """Scores of all yardsticks on the test images, kept by content.

    Returns:
        Columns of :func:`benchmark.score.score_maps` with yardstick and method; a method of "" belongs into the
        tables of all methods.
    """
    key = content_key(protocol, [[entry.name, digest(entry)] for entry in architectures], device.type)
    path = runs_folder() / "yardsticks" / f"{key}.parquet"
    if not path.is_file():
        metrics = list(entries(Metric).values())
        parts = []
        for name, maps in _trivial(data).items():
            parts.append(score_maps(maps, data, metrics, device=device).assign(yardstick=name, method=""))
        parts += [_untrained(data, architectures, method, metrics, device) for method in methods]
        parts.append(_raters(data, metrics, device))
        with new_file(path) as temporary:
            pd.concat(parts, ignore_index=True).to_parquet(temporary)
    return pd.read_parquet(path)


def _trivial(data: Prepared) -> dict[str, NDArray[np.float16]]:
    """Maps (T, S, S) that look at no model, by name."""
    images = data.images[data.test]
    number, side = images.shape[:2]
    names = data.cases["id"].to_numpy()[data.test]
    edges = np.stack([sobel(rgb2gray(image)) for image in images])
    edges /= np.maximum(edges.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
    maps = {
        gaussian_name(GAUSSIAN_WIDTH): np.broadcast_to(gaussian((side, side), GAUSSIAN_WIDTH), (number, side, side)),
        CONSTANT: np.full((number, side, side), 0.5),
        NOISE: np.stack([noise((side, side), name) for name in names]),
        EDGES: edges,
    }
    return {name: values.astype(np.float16) for name, values in maps.items()}


def _untrained(
    data: Prepared,
    architectures: Sequence[Architecture],
    method: Method,
    metrics: Sequence[Metric],
    device: torch.device,
) -> pd.DataFrame:
    """Mean score, image by image, over the architectures with random weights."""
    images = on_device(data.images[data.test], device)
    parts = []
    for architecture in architectures:
        torch.manual_seed(0)
        model = architecture.build(len(data.classes)).to(memory_format=torch.channels_last).to(device).eval()
        classes = predict(model, images).argmax(dim=1).to(device)
        maps = draw_maps(model, architecture.saliency_layer, images, classes, method)
        parts.append(score_maps(maps, data, metrics, device=device))
    names = ["image", "metric", "level", "rater", "characteristic"]
    mean = pd.concat(parts).groupby(names, sort=False, as_index=False)["value"].mean()
    return mean.assign(yardstick=UNTRAINED, method=method.name)


def _raters(data: Prepared, metrics: Sequence[Metric], device: torch.device) -> pd.DataFrame:
    """Each rater's own merge taken for a map, against the merge of the image's other raters."""
    tested = data.references[data.references["case"].isin(data.test)]
    own = tested[tested["level"] == "rater"]
    others = tested[tested["level"] == "others"].set_index(["case", "rater"])
    pairs = others.index.get_indexer(pd.MultiIndex.from_frame(own[["case", "rater"]]))
    planes = np.asarray(data.planes)
    rows = tested.index[tested["level"] == "others"].to_numpy()[pairs]
    maps = planes[own.index.to_numpy()].astype(np.float32) / 255
    parts = []
    for metric in metrics:
        # Hard masks are the union of all raters, in which the rater himself has a say: soft references only.
        if "reference" in metric.inputs:
            frame = pd.DataFrame({"image": data.cases["id"].to_numpy()[own["case"]], "rater": own["rater"].to_numpy()})
            frame = frame.assign(
                metric=metric.name,
                level="image",
                characteristic="",
                value=score_planes(metric, maps, planes[rows], device),
                yardstick=RATER,
                method="",
            )
            parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
