"""The target layer of an entry: it runs once, has a grid, and Grad-CAM at it varies over the image."""

import difflib
from typing import Any

import torch
from torch import Tensor, nn

from architectures import Architecture
from architectures.geometry import grid_geometry
from architectures.target_layer import last_grid
from benchmark.saliency.grad_cam import grad_cam
from benchmark.submission.checks.building import NUM_CLASSES
from benchmark.submission.checks.guard import EntryReport, guard_call, make_images
from benchmark.submission.checks.outputs import MIN_SIZE, TOLERANCE


def check_explanation(report: EntryReport, entry: Architecture, network: nn.Module) -> None:
    """Checks the target layer and its Grad-CAM. Adds the size of the grid to the facts."""
    layer = entry.target_layer
    names = [name for name, _ in network.named_modules()]
    if layer not in names:
        nearest = difflib.get_close_matches(layer, names, n=2)
        remedy = f"; nearest: {', '.join(nearest)}" if nearest else _suggest_layer(network)
        report.problems.append(f"has no module {layer!r} for the target layer{remedy}")
        return
    images, outputs = make_images(2, MIN_SIZE, MIN_SIZE), list[Any]()
    handle = network.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    with handle, torch.no_grad():
        network(images)
    if len(outputs) != 1:
        line = f"the target layer {layer!r} runs {len(outputs)} times in a call, not once"
        report.problems.append(line + _suggest_layer(network))
        return
    shape = tuple(outputs[0].shape) if isinstance(outputs[0], Tensor) else ()
    if len(shape) != 4 or min(shape[-2:]) < 2:
        line = f"the target layer {layer!r} returns {shape}, not a grid (N, K, h, w)"
        report.problems.append(line + _suggest_layer(network))
        return
    report.facts["grid"] = list(shape[-2:])
    _check_alignment(report, network, layer)
    with guard_call(report, f"Grad-CAM at {layer!r}"):
        # Class by class until one map varies: usually the first does.
        if not any(_varies(grad_cam(network, layer, images, torch.tensor([c, c]))) for c in range(NUM_CLASSES)):
            line = f"Grad-CAM at {layer!r} is constant: the layers after it ignore positions"
            report.problems.append(line + _suggest_layer(network))


def _check_alignment(report: EntryReport, network: nn.Module, layer: str) -> None:
    """Adds the displacement of the grid on the image to the facts. Where it is unknown, maps are stretched."""
    try:
        grid = grid_geometry(network, layer, (MIN_SIZE, MIN_SIZE))
    except ValueError as error:
        report.warnings.append(f"the centers of its grid cells are unknown, so its maps are not aligned: {error}")
        return
    report.facts["displacement"] = [grid.rows.displacement, grid.columns.displacement]


def _varies(maps: Tensor) -> bool:
    """Returns whether any of the maps is not constant."""
    return bool((maps.std(dim=(1, 2)) > TOLERANCE * maps.amax(dim=(1, 2))).any())


def _suggest_layer(network: nn.Module) -> str:
    """Returns the remedy for an unusable target layer. Empty where no module has a grid."""
    try:
        return f"; the last module with a grid is {last_grid(network)!r}"
    except (ValueError, RuntimeError):
        return ""
