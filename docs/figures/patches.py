"""Prints the table of patches of docs/alignment.md: where a layer sees a patch, and where stretching shows it.

Run from the repository: ``python -m docs.figures.patches DIRECTORY NAME=WEIGHTS ...``. The directory is a data set, or
``-`` for the embedded images. A name is that of an architecture. Its weights are a safetensors file, or ``random``.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from typer import echo

from architectures import Architecture
from architectures.geometry import grid_geometry, stretched
from benchmark.config.presets import QUICK
from benchmark.data.load import Source
from benchmark.experiments.grid import build_grid
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.trained_model import load_split
from benchmark.registry import select
from benchmark.runtime.tensors import to_float
from benchmark.training.checkpoint import load_weights

SIDE = 224
BORDER = 64
"""How far images are continued by reflection on all sides, so that the grid cuts off little of a change."""
WIDE = SIDE + 2 * BORDER
PATCH = 16
"""Side of a patch in pixels."""
REACH = 32
"""Largest distance between a patch and the middle of the image, along rows and columns."""
IMAGES = 8
PATCHES_PER_IMAGE = 8
BOOTSTRAPS = 1000
TARGET = 1.5
"""Displacement in pixels that should not remain."""


def load_images(directory: Path | None) -> Tensor:
    """Loads images (IMAGES, 3, WIDE, WIDE) of a data set, continued by reflection."""
    preset = replace(QUICK, image_size=SIDE, limit=60)
    request = RunRequest(
        preset=preset,
        source=Source(directory=directory),
        cells=build_grid(preset, ["mobilenet"], ["standard"], []),
        device=torch.device("cpu"),
        bfloat16=False,
    )
    images = load_split(build_jobs(request, Console(quiet=True))[0], "test").images[:IMAGES]
    return nn.functional.pad(to_float(images), (BORDER,) * 4, mode="reflect")


def load_model(entry: Architecture, weights: str) -> nn.Module:
    """Builds a network with the weights of a file, or with random ones."""
    torch.manual_seed(0)
    model = entry.build(2)
    if weights != "random":
        load_weights(model, Path(weights), fresh_classifier=True)
    return model.eval()


def paste(image: Tensor, rng: np.random.Generator) -> tuple[Tensor, NDArray[np.float64]]:
    """Pastes a patch of noise. Returns the image and how far the patch is from the middle, down and right."""
    middle = (WIDE - PATCH) // 2
    down, right = rng.integers(-REACH, REACH + 1, 2)
    changed, noise = image.clone(), rng.random((3, PATCH, PATCH), np.float32)
    changed[:, middle + down :, middle + right :][:, :PATCH, :PATCH] = torch.from_numpy(noise)
    return changed, np.array([down, right], np.float64)


def centroids(change: Tensor) -> NDArray[np.float64]:
    """Returns how far the centroid of each squared change (N, h, w) is shown from the middle when it is stretched."""
    energy = change.double()
    total = energy.sum((1, 2))
    shown = [stretched(cells, WIDE).centers - (WIDE - 1) / 2 for cells in energy.shape[1:]]
    along = [(energy.sum(2) * shown[0]).sum(1) / total, (energy.sum(1) * shown[1]).sum(1) / total]
    return torch.stack(along, dim=1).numpy()


@torch.inference_mode()
def observe(model: nn.Module, layer: str, images: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the places of patches and of the changes that they cause, (N, 2), in pixels from the middle."""
    outputs: list[Tensor] = []
    hook = model.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    rng, places, seen = np.random.default_rng(0), [], []
    for image in images:
        pasted = [paste(image, rng) for _ in range(PATCHES_PER_IMAGE)]
        outputs.clear()
        model(torch.stack([image, *(changed for changed, _ in pasted)]))
        seen.append(centroids((outputs[0][1:] - outputs[0][:1]).square().sum(1)))
        places += [place for _, place in pasted]
    hook.remove()
    return np.array(places), np.concatenate(seen)


def fit(places: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Regresses where changes are shown on where patches are. Returns displacement and slope, down and right, (2, 2).

    A part of the change spreads over the whole grid, which pulls the centroid to the middle. So the displacement is the
    intercept divided by the slope.
    """
    slope = ((places - places.mean(0)) * (seen - seen.mean(0))).sum(0) / ((places - places.mean(0)) ** 2).sum(0)
    return np.stack([(seen.mean(0) - slope * places.mean(0)) / slope, slope])


def print_row(entry: Architecture, weights: str, images: Tensor) -> None:
    """Measures a network and prints its row."""
    model = load_model(entry, weights)
    places, seen = observe(model, entry.target_layer, images)
    finite = np.isfinite(seen).all(axis=1)
    places, seen = places[finite], seen[finite]
    rng = np.random.default_rng(0)
    drawn = [fit(places[rows], seen[rows]) for rows in rng.integers(0, len(places), (BOOTSTRAPS, len(places)))]
    (shown, slope), (error, _) = fit(places, seen), np.std(drawn, axis=0)
    cells = [_pair(shown), _pair(error, signed=False), ", ".join(f"{each:.2f}" for each in slope)]
    for effective in (False, True):
        grid = grid_geometry(model, entry.target_layer, (WIDE, WIDE), effective=effective)
        computed = np.array([grid.rows.displacement, grid.columns.displacement])
        left = shown - computed
        verdict = "yes" if (abs(left) < TARGET).all() else "no" if (abs(left) > TARGET + 2 * error).any() else "open"
        cells += [_pair(computed), _pair(left), verdict]
    echo(f"| {' | '.join([entry.name, *cells])} |")


def _pair(values: Sequence[float] | NDArray[np.float64], *, signed: bool = True) -> str:
    return ", ".join(f"{value:{'+' if signed else ''}.1f}" for value in values)


def main() -> None:
    """Prints the table."""
    directory, *models = sys.argv[1:]
    images = load_images(None if directory == "-" else Path(directory))
    echo("| network | measured | error | slope | receptive field | left | < 1.5 | effective | left | < 1.5 |")
    echo("|" + "---|" * 10)
    for model in models:
        name, _, weights = model.partition("=")
        print_row(select(Architecture, [name])[0], weights, images)


if __name__ == "__main__":
    main()
