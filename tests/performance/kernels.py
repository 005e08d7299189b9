"""What other kernels change, for the same weights and the same images: logits, maps and every metric.

    python -m tests.performance.kernels [--architecture NAME ...] [--page FILE]

Networks with random weights and settled statistics of BatchNorm are made once and written down, with four images. Each
set of kernels of :data:`MEASURED` then answers, draws Grad-CAM and scores in a process of its own, once with
the maps it drew and once with those of the machine's own kernels. The tables go to standard output, or into the section
`Kernels` of a page between its two marks. All images are SYNTHETIC: smooth noise with a dark disc.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from architectures import Architecture
from benchmark.registry import entries
from benchmark.runtime.tensors import to_float
from benchmark.saliency.activations import activations_and_gradient
from benchmark.saliency.compute import compute_maps, scale_to_max
from benchmark.saliency.grad_cam import GRAD_CAM, grad_cam
from benchmark.scoring.perturbation import build_perturbation_context
from metrics import Metric
from tests.kernels import NATIVE, SETS, Kernels

IMAGES, SIDE, CLASSES, STEPS = 4, 96, 6, 8
BEGIN, END = "<!-- kernels: written by python -m tests.performance.kernels -->", "<!-- kernels: end -->"
NAMES = [name for name, each in entries(Architecture).items() if each.in_default_grid and not each.predicts_masks]
METRICS = entries(Metric)
DEAR = ("mobilenet",)
"""Of which the metrics are computed, too, that ask the network hundreds of times."""
MEASURED = tuple(each for name in ("native-1", "default-1", "avx2-1", "native-2") for each in SETS if each.name == name)
"""The machine's own kernels with one thread, and those that differ from it in one thing."""
ROOT = Path(__file__).parents[2]


def images(number: int, seed: int) -> Tensor:
    """Smooth noise, (N, 3, S, S), uint8, with a dark disc in the middle."""
    coarse = torch.rand(number, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    smooth = functional.interpolate(coarse, SIDE, mode="bilinear")
    return (255 * smooth * (1 - 0.5 * disc())).to(torch.uint8)


def disc() -> Tensor:
    """One inside a quarter of the side from the middle, (S, S)."""
    along = torch.arange(SIDE) - SIDE / 2
    return (along.square()[:, None] + along.square() < (SIDE / 4) ** 2).float()


def made(name: str) -> nn.Module:
    """A network with random weights, whose statistics are those of some images, as after a training."""
    torch.manual_seed(0)
    model = entries(Architecture)[name].build(CLASSES)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad():
        model.train()(to_float(images(8, seed=1)))
    return model.eval()


def measured(name: str, directory: Path, given: np.ndarray | None) -> dict[str, Any]:
    """What one set of kernels says of one network.

    Args:
        name: Of the architecture.
        directory: Where its weights lie.
        given: Maps of other kernels (N, S, S) to be scored too.
    """
    layer = entries(Architecture)[name].target_layer
    model = entries(Architecture)[name].build(CLASSES)
    model.load_state_dict(torch.load(directory / f"{name}.pt"))
    model.eval()
    pixels, classes = images(IMAGES, seed=0), torch.arange(IMAGES) % CLASSES
    inputs = to_float(pixels)
    with torch.no_grad():
        logits = model(inputs)
    activations, gradient = activations_and_gradient(model, layer, inputs, classes)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    maps = compute_maps(model, layer, pixels, classes, GRAD_CAM)
    found = {
        "logits": logits.numpy(),
        "evidence": (weights * activations).abs().sum(dim=1).amax(dim=(1, 2)).numpy(),
        "raw": grad_cam(model, layer, inputs, classes).numpy(),
        "maps": maps,
    }
    for kind, drawn in (("own", maps), ("given", maps if given is None else given)):
        chosen = [metric for metric in METRICS if name in DEAR or not METRICS[metric].expensive]
        found |= {f"{kind} {metric}": values for metric, values in scores(model, layer, pixels, classes, drawn, chosen)}
    return found


def scores(
    model: nn.Module, layer: str, pixels: Tensor, classes: Tensor, maps: np.ndarray, chosen: list[str]
) -> Iterable[tuple[str, np.ndarray]]:
    """Scores of the maps, (N,), by the name of the metric."""
    context = build_perturbation_context(
        model,
        pixels,
        maps,
        classes,
        ids=[str(number) for number in range(len(maps))],
        mean=torch.full((3,), 0.5),
        steps=STEPS,
        layer=layer,
        method=GRAD_CAM,
    )
    reference = disc().expand(len(maps), -1, -1)
    known = {"saliency": torch.from_numpy(maps).float(), "reference": reference, "mask": reference > 0.5}
    known |= {"images": to_float(pixels), "probe": context}
    for metric in map(METRICS.__getitem__, chosen):
        wanted = {each: context.curves() if each == "curves" else known[each] for each in metric.inputs}
        yield metric.name, metric.compute(**wanted).double().cpu().numpy()


def child(directory: Path, kernels: Kernels, names: list[str]) -> None:
    """Measures in this process and writes what was found."""
    torch.set_num_threads(kernels.threads)
    for name in names:
        if kernels == NATIVE:
            torch.save(made(name).state_dict(), directory / f"{name}.pt")
        given = None if kernels == NATIVE else np.load(found_at(directory, NATIVE, name))["maps"]
        np.savez(found_at(directory, kernels, name), **measured(name, directory, given))


def found_at(directory: Path, kernels: Kernels, name: str) -> Path:
    return directory / f"{kernels.name}-{name}.npz"


def run(directory: Path, names: list[str]) -> None:
    """One process for each set of kernels, the machine's own first."""
    for kernels in MEASURED:
        command = [
            sys.executable,
            "-m",
            "tests.performance.kernels",
            "--child",
            kernels.name,
            "--folder",
            str(directory),
        ]
        words = [word for name in names for word in ("--architecture", name)]
        sys.stderr.write(f"{kernels.name} ...\n")
        subprocess.run([*command, *words], cwd=ROOT, env=os.environ | kernels.environment, check=True)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest difference between the machine's own kernels and any other, of one network."""

    logits: float
    evidence: float
    full_scale: float
    amplified: float


def difference(directory: Path, name: str) -> Difference:
    """Logits against the largest, maps before they are divided against their evidence, maps after it."""
    ours, *others = [np.load(found_at(directory, each, name)) for each in MEASURED]
    scale = ours["raw"].max(axis=(1, 2))
    full = [scale_to_max(torch.from_numpy(each["raw"])).numpy() for each in (ours, *others)]
    return Difference(
        logits=max(np.abs(each["logits"] - ours["logits"]).max() for each in others) / np.abs(ours["logits"]).max(),
        evidence=max((np.abs(each["raw"] - ours["raw"]).max(axis=(1, 2)) / ours["evidence"]).max() for each in others),
        full_scale=max(np.abs(each - full[0]).max() for each in full[1:]),
        amplified=float((ours["evidence"][scale > 0] / scale[scale > 0]).max(initial=1)),
    )


def largest(directory: Path, names: list[str], key: str) -> tuple[float, float, str]:
    """Largest and median difference of a score over networks and images, and the network of the largest."""
    found = []
    for name in names:
        ours = np.load(found_at(directory, NATIVE, name))[key]
        for kernels in MEASURED[1:]:
            theirs = np.load(found_at(directory, kernels, name))[key]
            apart = np.where(np.isnan(ours) & np.isnan(theirs), 0, np.abs(theirs - ours))
            found += [(value, name) for value in np.nan_to_num(apart, nan=np.inf)]
    most, where = max(found)
    return most, float(np.median([value for value, _ in found])), where


def tables(directory: Path, names: list[str]) -> str:
    """Both tables, as Markdown."""
    lines = [
        "| architecture | logits | map, of its evidence | map at full scale | evidence / map |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        told = difference(directory, name)
        lines.append(
            f"| {name} | {told.logits:.1e} | {told.evidence:.1e} | {told.full_scale:.1e} | {told.amplified:.0f} |"
        )
    lines += ["", "| metric | maps given | maps drawn anew | median | where |", "|---|---|---|---|---|"]
    for metric in METRICS:
        asked = [name for name in names if name in DEAR or not METRICS[metric].expensive]
        if asked:
            given, (own, middle, where) = (largest(directory, asked, f"{kind} {metric}") for kind in ("given", "own"))
            lines.append(f"| {metric} | {given[0]:.1e} | {own:.1e} | {middle:.1e} | {where if own else ''} |")
    return "\n".join(lines)


def put_into(page: Path, text: str) -> None:
    """Puts the tables between the marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> None:
    reads = argparse.ArgumentParser(description="What other kernels change.")
    reads.add_argument("--architecture", action="append", choices=NAMES, default=None)
    reads.add_argument("--page", type=Path)
    reads.add_argument("--child", choices=[each.name for each in MEASURED], help=argparse.SUPPRESS)
    reads.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = reads.parse_args()
    names = asked.architecture or NAMES
    if asked.child:
        child(asked.directory, next(each for each in MEASURED if each.name == asked.child), names)
        return
    with tempfile.TemporaryDirectory() as scratch:
        run(Path(scratch), names)
        text = tables(Path(scratch), names)
    sys.stdout.write(f"{text}\n")
    if asked.page:
        put_into(asked.page, text)


if __name__ == "__main__":
    main()
