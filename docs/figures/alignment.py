"""Draws docs/figures/alignment.png: one Grad-CAM map, stretched over the image and placed at the centers of its cells.

Run from the repository: ``python -m docs.figures.alignment``. It trains a small model on the embedded images first, in
about a minute, unless the runs folder has it. The picture shows the test image whose change of map F1 is the median of
all correctly classified ones.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from architectures.geometry import Axis, stretched
from benchmark.config.presets import QUICK
from benchmark.data.load import Source
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.trained_model import load_split, train_or_load
from benchmark.runtime.tensors import predict
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.grad_cam import GRAD_CAM
from metrics.overlap import MAP_F1

TARGET = Path(__file__).with_suffix(".png")
PRESET = replace(QUICK, image_size=128, epochs=8, regimes=("standard",))


def build_job() -> Job:
    """Builds the job of the model: MobileNet on the embedded images at 128 px."""
    request = RunRequest(
        preset=PRESET,
        source=Source(directory=None, layout=None, images=None),
        cells=build_grid(PRESET, ["mobilenet"], [], []),
        device=torch.device("cpu"),
        bfloat16=False,
        manifest=None,
        pretraining=None,
        class_map=None,
        log=None,
    )
    return build_jobs(request, Console(quiet=True))[0]


def draw(axis: Axes, image: NDArray[np.uint8], mask: NDArray[np.floating], title: str) -> None:
    """Draws an image, an outline of the mask and a title."""
    axis.imshow(image)
    axis.contour(mask, levels=[0.5], colors=["cyan"], linewidths=1.2)
    axis.set_title(title, fontsize=8)
    axis.set_axis_off()


def draw_centers(axis: Axes, rows: Axis, columns: Axis, *, marker: str, label: str) -> None:
    """Marks the centers of all cells."""
    down, right = np.meshgrid(rows.centers.numpy(), columns.centers.numpy(), indexing="ij")
    axis.plot(right.ravel(), down.ravel(), marker, color="white", markeredgecolor="black", markersize=5, label=label)


def main() -> None:
    """Writes the picture."""
    job = build_job()
    model, _ = train_or_load(job, lambda *_: None)
    data, entry = load_split(job, "test"), job.cell.architecture
    classes = predict(model, data.images).argmax(dim=1)
    placement = get_placement(entry, job.size, "receptive-field", model)
    if placement is None:
        raise SystemExit("the geometry of the grid is unknown")
    upsamplings = {"stretched over the image": None, "placed at the centers": placement}
    maps = {
        title: compute_maps(model, entry.target_layer, data.images, classes, GRAD_CAM, upsample)
        for title, upsample in upsamplings.items()
    }
    masks = np.nan_to_num(job.data.masks(job.data.test))
    scores = {
        title: MAP_F1.compute(torch.tensor(values).float(), torch.tensor(masks).float()).numpy()
        for title, values in maps.items()
    }
    change = np.subtract(*reversed(list(scores.values())))
    right = np.flatnonzero((classes == data.labels).numpy() & np.isfinite(change) & (masks.sum(axis=(1, 2)) > 0))
    chosen = right[np.argsort(change[right])[len(right) // 2]]

    image, mask = job.data.images[job.data.test][chosen], masks[chosen]
    geometry, side = placement.geometry, PRESET.image_size
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    first, *others = figure.subplots(1, 3)
    draw(first, image, mask, "centers of the cells")
    draw_centers(
        first,
        stretched(geometry.rows.cells, side),
        stretched(geometry.columns.cells, side),
        marker="x",
        label="stretched",
    )
    draw_centers(first, geometry.rows, geometry.columns, marker="o", label="receptive field")
    first.set(xlim=(-8, side), ylim=(side, -8))
    first.legend(loc="lower right", fontsize=7)
    for axis, (title, values) in zip(others, maps.items(), strict=True):
        draw(axis, image, mask, f"{title}: map F1 {scores[title][chosen]:.2f}")
        axis.imshow(values[chosen].astype(np.float32), cmap="inferno", alpha=0.6)
        axis.set(xlim=(-8, side), ylim=(side, -8))
    figure.savefig(TARGET, dpi=100, metadata={"Software": None})
    # A palette makes the file three times smaller.
    Image.open(TARGET).quantize(128).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
