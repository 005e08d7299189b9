"""Prints the table "A finer grid" of docs/alignment.md: scores of Grad-CAM with the usual grid and one of stride 16.

Run from the repository: ``python -m docs.figures.grid_stride PRESET DIRECTORY WEIGHTS ARCHITECTURE ...``. It measures
the models of the preset that the runs folder has, and trains none. WEIGHTS are the initial ones: random, or the
directory that the training was given.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from typer import echo

from benchmark.baselines.score import GAUSSIAN_WIDTH, TRIVIAL
from benchmark.baselines.trivial import gaussian_name
from benchmark.config.presets import PRESETS
from benchmark.data.load import Source
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.trained_model import job_model_dir, load_model, load_split
from benchmark.registry import select
from benchmark.runtime.mapped import collect_maps
from benchmark.runtime.tensors import predict
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.scoring.score import score_maps
from benchmark.statistics.resampling import resampling
from docs.figures.before_after import METRICS, estimate, format_change
from metrics import Metric

REGIMES = ("standard", "adversarial")
SEEDS = (0, 1, 2)
FINE = 16

Scores = dict[str, NDArray[np.float64]]
"""Scores of the test images (T,), by metric."""


def stored_jobs(name: str, directory: Path, weights: str, architectures: Sequence[str]) -> Iterator[Job]:
    """Yields the jobs whose models the runs folder has."""
    preset = replace(PRESETS[name], weights=weights, grid_stride=None)
    request = RunRequest(
        preset=preset,
        source=Source(directory=directory),
        cells=build_grid(preset, architectures, REGIMES, SEEDS),
        device=torch.device("cpu"),
        bfloat16=False,
    )
    yield from (job for job in build_jobs(request, Console(quiet=True)) if job_model_dir(job).exists())


def score(maps: NDArray[np.floating], job: Job) -> Scores:
    """Scores the maps (T, S, S) of the test images."""
    frame = score_maps(maps, job.data, select(Metric, METRICS), device=job.device)
    table = frame[frame["level"] == "image"].pivot_table(index="image", columns="metric", values="value")
    table = table.reindex(job.data.samples["id"].to_numpy()[job.data.test])
    return {metric: table[metric].to_numpy(np.float64) for metric in METRICS}


def score_gaussian(job: Job) -> Scores:
    """Scores a centered Gaussian."""
    data = job.data
    shape = (len(data.test), *data.images.shape[1:3])
    return score(collect_maps(TRIVIAL[gaussian_name(GAUSSIAN_WIDTH)](data), shape), job)


def measure(job: Job) -> tuple[Scores, Scores]:
    """Scores the maps of a model, with the usual grid and the finer one. Both are placed as the preset says."""
    model, data, entry = load_model(job), load_split(job, "test"), job.cell.architecture
    classes = predict(model, data.images).argmax(dim=1)
    both = []
    for stride in (None, FINE):
        layer = replace(job, preset=replace(job.preset, grid_stride=stride)).target_layer
        upsample_fn = get_placement(entry, job.size, job.preset.alignment, model, layer)
        both.append(score(compute_maps(model, layer, data.images, classes, GRAD_CAM, upsample_fn), job))
    return both[0], both[1]


def main() -> None:
    """Prints the table: for each model and metric the usual grid, what the finer one adds, and it less the Gaussian."""
    preset, directory, weights, *architectures = sys.argv[1:]
    gaussian = None
    for job in stored_jobs(preset, Path(directory), weights, architectures):
        gaussian = gaussian or score_gaussian(job)
        usual, fine = measure(job)
        draws = resampling(job.data.samples["group"].to_numpy()[job.data.test].tolist())
        for metric in METRICS:
            cells = [
                job.cell.name,
                metric,
                f"{estimate(usual[metric], draws).value:.3f}",
                format_change(fine[metric] - usual[metric], draws),
                format_change(fine[metric] - gaussian[metric], draws),
            ]
            echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
