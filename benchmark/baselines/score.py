"""The baselines of a table: scored like models, on the same test images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.filters import sobel

from architectures import Architecture
from architectures.geometry import Geometry
from benchmark.baselines import CEILING, CONSTANT, EDGES, NOISE, RATER, UNTRAINED, ceiling_name
from benchmark.baselines.ceiling import compute_ceiling_maps
from benchmark.baselines.trivial import gaussian, gaussian_name, noise
from benchmark.data.dataset import ImageDataset
from benchmark.registry import entries
from benchmark.runtime.tensors import on_device, predict
from benchmark.saliency import Method
from benchmark.saliency.alignment import get_grid, get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.scoring.score import score_maps, score_mask_arrays
from benchmark.storage.files import new_file
from benchmark.storage.hashing import content_key
from benchmark.storage.identity import identity
from benchmark.storage.runs import baseline_file
from metrics import Metric
from metrics.overlap import MAP_F1

GAUSSIAN_WIDTH = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselinePart:
    """What the baselines of a table are put together from; each is scored and kept by itself, wherever.

    Attributes:
        baseline: The baseline that it belongs to.
        architecture: Whose untrained network it is, or whose grid; None for those that need neither.
        method: How that network's maps are drawn; None for all else.
        alignment: How maps of a grid are placed.
    """

    baseline: str
    architecture: Architecture | None = None
    method: Method | None = None
    alignment: str = "none"

    def key(self, protocol: str) -> str:
        """Stands for everything that decides its scores under a protocol, which also says on what data and device."""
        architecture = self.architecture and [self.architecture.name, identity(self.architecture)]
        return content_key(protocol, self.baseline, architecture, self.method and self.method.name, self.alignment)


def list_parts(
    architectures: Sequence[Architecture], methods: Sequence[Method], side: int, alignment: str
) -> list[BaselinePart]:
    """All parts of the baselines of a table of these architectures and saliency methods, at this side in pixels."""
    untrained = [
        BaselinePart(baseline=UNTRAINED, architecture=architecture, method=method, alignment=alignment)
        for method in methods
        for architecture in architectures
    ]
    ceilings = _ceilings(architectures, side, alignment) if any(method.uses_grid for method in methods) else []
    return [*(BaselinePart(baseline=name) for name in TRIVIAL), *untrained, *ceilings, BaselinePart(baseline=RATER)]


def _ceilings(architectures: Sequence[Architecture], side: int, alignment: str) -> list[BaselinePart]:
    """A part for each grid that lies differently on the image; those of one shape make one baseline."""
    grids: dict[Geometry, BaselinePart] = {}
    for architecture in architectures:
        grid = get_grid(architecture, (side, side), alignment)
        if grid is not None:
            name = ceiling_name(grid.rows.cells, grid.columns.cells)
            grids.setdefault(grid, BaselinePart(baseline=name, architecture=architecture, alignment=alignment))
    return list(grids.values())


def baselines(
    data: ImageDataset,
    architectures: Sequence[Architecture],
    methods: Sequence[Method],
    device: torch.device,
    protocol: str,
    *,
    alignment: str,
) -> pd.DataFrame:
    """Scores of all baselines on the test images; a part that is not kept yet is scored here.

    Returns:
        Columns of :func:`benchmark.scoring.score.score_maps` with baseline and method; a method of "" belongs into the
        tables of all methods. The ceiling of a grid is the mean over the ways in which such grids lie on the image.
    """
    uses_grid = [method.name for method in methods if method.uses_grid]
    found: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for part in list_parts(architectures, methods, data.images.shape[1], alignment):
        frame = pd.read_parquet(score_baseline(part, data, device, protocol))
        names = uses_grid if _is_ceiling(part) else [part.method.name if part.method else ""]
        for name in names:
            found.setdefault((part.baseline, name), []).append(frame)
    return pd.concat(
        [
            (_mean(frames) if len(frames) > 1 else frames[0]).assign(baseline=baseline, method=method)
            for (baseline, method), frames in found.items()
        ],
        ignore_index=True,
    )


def part_file(part: BaselinePart, protocol: str) -> Path:
    """Where the scores of a part are kept."""
    return baseline_file(part.key(protocol))


def score_baseline(part: BaselinePart, data: ImageDataset, device: torch.device, protocol: str) -> Path:
    """Scores a part unless it is kept already; the file."""
    path = part_file(part, protocol)
    if not path.is_file():
        with new_file(path) as temporary:
            _scored(part, data, device).to_parquet(temporary)
    return path


def _scored(part: BaselinePart, data: ImageDataset, device: torch.device) -> pd.DataFrame:
    metrics = list(entries(Metric).values())
    if part.architecture and _is_ceiling(part):
        return _ceiling(data, part.architecture, part.alignment, device)
    if part.architecture and part.method:
        maps = _untrained(data, part, device)
    elif part.baseline == RATER:
        return _raters(data, metrics, device)
    else:
        maps = TRIVIAL[part.baseline](data).astype(np.float16)
    return score_maps(maps, data, metrics, device=device)


def _is_ceiling(part: BaselinePart) -> bool:
    return part.baseline.startswith(f"{CEILING} ")


def _ceiling(data: ImageDataset, architecture: Architecture, alignment: str, device: torch.device) -> pd.DataFrame:
    """F1 of the best maps of an architecture's grid against the merged masks; of other scores they are not the best."""
    side = data.images.shape[1]
    grid = get_grid(architecture, (side, side), alignment)
    if grid is None:
        raise ValueError(f"{architecture.name}: its grid is not known")
    masks = torch.as_tensor(np.nan_to_num(data.masks(data.test)), device=device)
    maps = compute_ceiling_maps(masks, grid).half().cpu().numpy()
    scores = score_maps(maps, data, [MAP_F1], device=device)
    return scores[scores["level"] == "image"].reset_index(drop=True)


def _mean(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean score, image by image."""
    names = ["image", "metric", "level", "rater", "characteristic"]
    return pd.concat(frames).groupby(names, sort=False)["value"].mean().reset_index()


def _gaussians(data: ImageDataset) -> NDArray[np.floating]:
    number, side = len(data.test), data.images.shape[1]
    return np.broadcast_to(gaussian((side, side), GAUSSIAN_WIDTH), (number, side, side))


def _constants(data: ImageDataset) -> NDArray[np.floating]:
    return np.full((len(data.test), *data.images.shape[1:3]), 0.5)


def _noises(data: ImageDataset) -> NDArray[np.floating]:
    side = data.images.shape[1]
    return np.stack([noise((side, side), name) for name in data.samples["id"].to_numpy()[data.test]])


def _edges(data: ImageDataset) -> NDArray[np.floating]:
    edges = np.stack([sobel(rgb2gray(image)) for image in data.images[data.test]])
    return np.asarray(edges / np.maximum(edges.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny))


TRIVIAL: dict[str, Callable[[ImageDataset], NDArray[np.floating]]] = {
    gaussian_name(GAUSSIAN_WIDTH): _gaussians,
    CONSTANT: _constants,
    NOISE: _noises,
    EDGES: _edges,
}
"""Maps (T, S, S) of the test images that look at no model."""


def _untrained(data: ImageDataset, part: BaselinePart, device: torch.device) -> NDArray[np.float16]:
    """Maps (T, S, S) of a network with random weights for the class that it predicts."""
    architecture, method = part.architecture, part.method
    if architecture is None or method is None:
        raise ValueError(f"{part.baseline}: no network, or no method")
    images = on_device(data.images[data.test], device)
    torch.manual_seed(0)
    model = architecture.build(len(data.classes)).to(memory_format=torch.channels_last).to(device).eval()
    classes = predict(model, images).argmax(dim=1).to(device)
    upsample_fn = get_placement(architecture, images.shape[-2:], part.alignment)
    return compute_maps(model, architecture.target_layer, images, classes, method, upsample_fn)


def _raters(data: ImageDataset, metrics: Sequence[Metric], device: torch.device) -> pd.DataFrame:
    """Each rater's own merge taken for a map, against the merge of the image's other raters."""
    tested = data.references[data.references["sample"].isin(data.test)]
    own = tested[tested["level"] == "rater"]
    others = tested[tested["level"] == "others"].set_index(["sample", "rater"])
    pairs = others.index.get_indexer(pd.MultiIndex.from_frame(own[["sample", "rater"]]))
    planes = np.asarray(data.planes)
    rows = tested.index[tested["level"] == "others"].to_numpy()[pairs]
    maps = planes[own.index.to_numpy()].astype(np.float32) / 255
    parts = []
    for metric in metrics:
        # Hard masks are the union of all raters, in which the rater himself has a say: soft references only.
        if "reference" in metric.inputs:
            frame = pd.DataFrame(
                {"image": data.samples["id"].to_numpy()[own["sample"]], "rater": own["rater"].to_numpy()}
            )
            frame = frame.assign(
                metric=metric.name,
                level="image",
                characteristic="",
                value=score_mask_arrays(metric, maps, planes[rows], device),
            )
            parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
