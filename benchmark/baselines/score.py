"""Baselines of a table, scored like models on the same test images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
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
from benchmark.runtime.layout import place
from benchmark.runtime.mapped import collect_maps, release_pages
from benchmark.runtime.tensors import on_device, predict
from benchmark.saliency import Method
from benchmark.saliency.alignment import get_grid, get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.target import find_target_layer
from benchmark.scoring.score import score_maps, score_mask_arrays
from benchmark.storage.cache import load_or_make
from benchmark.storage.hashing import content_key
from benchmark.storage.identity import identity
from benchmark.storage.runs import baseline_file
from metrics import Metric
from metrics.overlap import MAP_F1

GAUSSIAN_WIDTH = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselinePart:
    """A part of the baselines of a table. Each part is scored and cached independently, on any machine.

    Attributes:
        baseline: Name of the baseline that it belongs to.
        architecture: The architecture of an untrained network or of a grid. None for all other baselines.
        method: The saliency method of an untrained network. None for all other baselines.
        alignment: How maps of a grid are aligned with the image.
        grid_stride: Stride of the grid. None takes the architecture's own target layer.
    """

    baseline: str
    architecture: Architecture | None = None
    method: Method | None = None
    alignment: str = "none"
    grid_stride: int | None = None

    def layer(self, image_size: int) -> str:
        """Returns the target layer of the architecture, if there is one, else ""."""
        return find_target_layer(self.architecture, self.grid_stride, image_size) if self.architecture else ""

    def key(self, protocol: str) -> str:
        """Returns a hash of all that its scores depend on. The protocol includes the data and the device."""
        architecture = self.architecture and [self.architecture.name, identity(self.architecture)]
        return content_key(protocol, self.baseline, architecture, self.method and self.method.name, self.alignment)


def list_parts(
    architectures: Sequence[Architecture],
    methods: Sequence[Method],
    image_size: int,
    alignment: str,
    grid_stride: int | None = None,
) -> list[BaselinePart]:
    """Lists all parts of the baselines of a table of these architectures and saliency methods.

    Args:
        architectures: Architectures of the table.
        methods: Saliency methods of the table.
        image_size: Side of the images in pixels.
        alignment: How maps of a grid are aligned with the image.
        grid_stride: Stride of the grid. None takes each architecture's own target layer.
    """
    untrained = [
        BaselinePart(
            baseline=UNTRAINED,
            architecture=architecture,
            method=method,
            alignment=alignment,
            grid_stride=grid_stride,
        )
        for architecture in architectures
        for method in methods
    ]
    ceilings = (
        _ceiling_parts(architectures, image_size, alignment, grid_stride)
        if any(method.uses_grid for method in methods)
        else []
    )
    return [*(BaselinePart(baseline=name) for name in TRIVIAL), *untrained, *ceilings, BaselinePart(baseline=RATER)]


def _ceiling_parts(
    architectures: Sequence[Architecture], image_size: int, alignment: str, grid_stride: int | None
) -> list[BaselinePart]:
    """Lists a part for each distinct grid geometry. Grids of one shape form one baseline."""
    grids: dict[Geometry, BaselinePart] = {}
    for architecture in architectures:
        layer = find_target_layer(architecture, grid_stride, image_size)
        grid = get_grid(architecture, (image_size, image_size), alignment, layer)
        if grid is not None:
            name = ceiling_name(grid.rows.cells, grid.columns.cells)
            part = BaselinePart(baseline=name, architecture=architecture, alignment=alignment, grid_stride=grid_stride)
            grids.setdefault(grid, part)
    return list(grids.values())


def score_baselines(  # noqa: PLR0913 - data, table, and the two settings of a grid
    data: ImageDataset,
    architectures: Sequence[Architecture],
    methods: Sequence[Method],
    device: torch.device,
    protocol: str,
    *,
    alignment: str,
    grid_stride: int | None = None,
) -> pd.DataFrame:
    """Scores all baselines on the test images, or loads their cached scores.

    Returns:
        Columns of :func:`benchmark.scoring.score.score_maps` with baseline and method. A method of "" means the tables
        of all methods. The ceiling of a grid is the mean over the geometries of such grids.
    """
    grid_methods = [method.name for method in methods if method.uses_grid]
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    every = list_parts(architectures, methods, data.images.shape[1], alignment, grid_stride)
    missing = [part for part in every if part.method and not part_file(part, protocol).is_file()]
    untrained = _UntrainedMaps(data, device, missing)
    for part in every:
        frame = _load_or_score(part, data, device, protocol, untrained)
        names = grid_methods if _is_ceiling(part) else [part.method.name if part.method else ""]
        for name in names:
            parts.setdefault((part.baseline, name), []).append(frame)
    return pd.concat(
        [
            (_mean(frames) if len(frames) > 1 else frames[0]).assign(baseline=baseline, method=method)
            for (baseline, method), frames in parts.items()
        ],
        ignore_index=True,
    )


def part_file(part: BaselinePart, protocol: str) -> Path:
    """Returns the file of the cached scores of a part."""
    return baseline_file(part.key(protocol))


def score_baseline(part: BaselinePart, data: ImageDataset, device: torch.device, protocol: str) -> Path:
    """Scores a part unless its scores are cached. Returns the file."""
    _load_or_score(part, data, device, protocol, _UntrainedMaps(data, device, [part]))
    return part_file(part, protocol)


class _UntrainedMaps:
    """Computes maps of networks with random weights: for all methods of a network at once, and in temporary files.

    So each network answers once, and none is in memory while maps are scored.

    Args:
        data: The data.
        device: Where the networks run.
        parts: The parts that need such maps.
    """

    def __init__(self, data: ImageDataset, device: torch.device, parts: Sequence[BaselinePart]) -> None:
        self._data, self._device, self._parts = data, device, parts
        self._maps: dict[BaselinePart, NDArray[np.float16]] = {}

    def take(self, part: BaselinePart) -> NDArray[np.float16]:
        """Returns the maps (T, S, S) of a part for the classes that its network predicts, and drops them."""
        if part not in self._maps:
            parts = dict.fromkeys([part, *(other for other in self._parts if other.architecture is part.architecture)])
            self._maps = self._compute(list(parts))
        return self._maps.pop(part)

    def _compute(self, parts: Sequence[BaselinePart]) -> dict[BaselinePart, NDArray[np.float16]]:
        architecture = parts[0].architecture
        if architecture is None:
            raise ValueError(f"{parts[0].baseline}: it has no architecture")
        images = on_device(self._data.images[self._data.test], self._device)
        torch.manual_seed(0)
        model = place(architecture.build(len(self._data.classes)), self._device).eval()
        classes = predict(model, images).argmax(dim=1).to(self._device)
        maps = {}
        for part in parts:
            if part.method is None:
                raise ValueError(f"{part.baseline}: it has no method")
            layer = part.layer(images.shape[-1])
            upsample_fn = get_placement(architecture, images.shape[-2:], part.alignment, model, layer)
            found = compute_maps(model, layer, images, classes, part.method, upsample_fn)
            maps[part] = collect_maps(found, found.shape)
        return maps


def _load_or_score(
    part: BaselinePart, data: ImageDataset, device: torch.device, protocol: str, untrained: _UntrainedMaps
) -> pd.DataFrame:
    def make(path: Path) -> None:
        _compute_scores(part, data, device, untrained).to_parquet(path)

    return load_or_make(part_file(part, protocol), make, pd.read_parquet)


def _compute_scores(
    part: BaselinePart, data: ImageDataset, device: torch.device, untrained: _UntrainedMaps
) -> pd.DataFrame:
    metrics = list(entries(Metric).values())
    if part.architecture and _is_ceiling(part):
        return _score_ceiling(data, part, part.architecture, device)
    if part.architecture and part.method:
        maps = untrained.take(part)
    elif part.baseline == RATER:
        return _score_raters(data, metrics, device)
    else:
        maps = collect_maps(TRIVIAL[part.baseline](data), (len(data.test), *data.images.shape[1:3]))
    return score_maps(maps, data, metrics, device=device)


def _is_ceiling(part: BaselinePart) -> bool:
    return part.baseline.startswith(f"{CEILING} ")


def _score_ceiling(
    data: ImageDataset, part: BaselinePart, architecture: Architecture, device: torch.device
) -> pd.DataFrame:
    """Computes the map F1 of the best maps of a grid against the merged masks. They do not maximize other metrics."""
    side = data.images.shape[1]
    grid = get_grid(architecture, (side, side), part.alignment, part.layer(side))
    if grid is None:
        raise ValueError(f"{architecture.name}: the geometry of its grid is unknown")
    masks = torch.as_tensor(np.nan_to_num(data.masks(data.test)), device=device)
    maps = compute_ceiling_maps(masks, grid).half().cpu().numpy()
    scores = score_maps(maps, data, [MAP_F1], device=device)
    return scores[scores["level"] == "image"].reset_index(drop=True)


def _mean(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Computes the mean score of each image."""
    names = ["image", "metric", "level", "rater", "characteristic"]
    return pd.concat(frames).groupby(names, sort=False)["value"].mean().reset_index()


def _gaussians(data: ImageDataset) -> Iterator[NDArray[np.floating]]:
    side = data.images.shape[1]
    return repeat(gaussian((side, side), GAUSSIAN_WIDTH), len(data.test))


def _constants(data: ImageDataset) -> Iterator[NDArray[np.floating]]:
    return repeat(np.full(data.images.shape[1:3], 0.5), len(data.test))


def _noises(data: ImageDataset) -> Iterator[NDArray[np.floating]]:
    side = data.images.shape[1]
    return (noise((side, side), name) for name in data.samples["id"].to_numpy()[data.test])


def _edges(data: ImageDataset) -> Iterator[NDArray[np.floating]]:
    for row in data.test:
        edges = sobel(rgb2gray(data.images[row]))
        release_pages(data.images)
        yield edges / max(edges.max(), np.finfo(np.float32).tiny)


TRIVIAL: dict[str, Callable[[ImageDataset], Iterator[NDArray[np.floating]]]] = {
    gaussian_name(GAUSSIAN_WIDTH): _gaussians,
    CONSTANT: _constants,
    NOISE: _noises,
    EDGES: _edges,
}
"""Functions that yield the maps (S, S) of the test images without a model."""


def _score_raters(data: ImageDataset, metrics: Sequence[Metric], device: torch.device) -> pd.DataFrame:
    """Scores the merged mask of each rater as a map, against the merged mask of the other raters of the image."""
    tested = data.references[data.references["sample"].isin(data.test)]
    own = tested[tested["level"] == "rater"]
    others = tested[tested["level"] == "others"].set_index(["sample", "rater"])
    pairs = others.index.get_indexer(pd.MultiIndex.from_frame(own[["sample", "rater"]]))
    rows = tested.index[tested["level"] == "others"].to_numpy()[pairs]
    # Hard masks are the union of all raters, which includes the rater at hand. So only soft references count.
    soft = [metric for metric in metrics if "reference" in metric.inputs]
    values = score_mask_arrays(soft, data.mask_arrays, own.index.to_numpy(), rows, device)
    names = pd.DataFrame({"image": data.samples["id"].to_numpy()[own["sample"]], "rater": own["rater"].to_numpy()})
    parts = [
        names.assign(metric=metric.name, level="image", characteristic="", value=values[metric.name]) for metric in soft
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
