"""Prints the tables "Before and after" of docs/alignment.md: scores of Grad-CAM, stretched and placed.

Run from the repository: ``python -m docs.figures.before_after [DIRECTORY [ARCHITECTURE ...]]``. Without a directory it
takes the embedded images. It measures the standard models of the preset quick, and trains those that the runs folder
does not have.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import kendalltau
from typer import echo

from benchmark.config.presets import EFFECTIVE, QUICK
from benchmark.data.load import Source
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.trained_model import load_split, train_or_load
from benchmark.registry import select
from benchmark.runtime.tensors import predict
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.scoring.score import score_maps
from benchmark.statistics.bootstrap import Estimate, estimates
from benchmark.statistics.ratios import mean_of_finite
from benchmark.statistics.resampling import Resampling, resampling
from benchmark.statistics.tests import difference
from metrics import Metric

METRICS = ("map-f1", "top-mask-f1", "pointing-game")
WAYS = ("none", "receptive-field", EFFECTIVE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The scores of one model.

    Attributes:
        name: Name of the architecture.
        accuracy: Balanced accuracy on the test images.
        by_image: Scores of the images (T,), by way of alignment and metric.
    """

    name: str
    accuracy: float
    by_image: dict[tuple[str, str], NDArray[np.float64]]


def build(directory: Path | None, architectures: Sequence[str]) -> list[Job]:
    """Builds the jobs of the standard models."""
    request = RunRequest(
        preset=QUICK,
        source=Source(directory=directory),
        cells=build_grid(QUICK, architectures, ["standard"], []),
        device=torch.device("cpu"),
        bfloat16=False,
    )
    return build_jobs(request, Console(quiet=True))


def measure(job: Job) -> Scores:
    """Scores the maps of a model in every way."""
    model, _ = train_or_load(job, lambda *_: None)
    data, entry, layer = load_split(job, "test"), job.cell.architecture, job.target_layer
    classes = predict(model, data.images).argmax(dim=1)
    right = (classes == data.labels).numpy()
    accuracy = float(np.mean([right[data.labels.numpy() == label].mean() for label in np.unique(data.labels)]))
    values: dict[tuple[str, str], NDArray[np.float64]] = {}
    for way in WAYS:
        upsample_fn = get_placement(entry, job.size, way, model, layer)
        maps = compute_maps(model, layer, data.images, classes, GRAD_CAM, upsample_fn)
        frame = score_maps(maps, job.data, select(Metric, METRICS), device=job.device)
        table = frame[frame["level"] == "image"].pivot_table(index="image", columns="metric", values="value")
        table = table.reindex(job.data.samples["id"].to_numpy()[job.data.test])
        values |= {(way, metric): table[metric].to_numpy(np.float64) for metric in METRICS}
    return Scores(name=entry.name, accuracy=accuracy, by_image=values)


def estimate(values: NDArray[np.float64], draws: Resampling) -> Estimate:
    """Estimates the mean of the scores of the images."""
    return estimates({"": [mean_of_finite(values)]}, draws, row="", bounds={"": (-1.0, 1.0)})[""]


def change(scores: Scores, way: str, metric: str) -> NDArray[np.float64]:
    """Returns what a way changes in the scores of the images."""
    return scores.by_image[way, metric] - scores.by_image["none", metric]


def format_change(values: NDArray[np.float64], draws: Resampling) -> str:
    """Formats a mean change with its interval."""
    result = estimate(values, draws)
    return f"{result.value:+.3f} [{result.low:+.3f}, {result.high:+.3f}]"


def print_models(models: Sequence[Scores], draws: Resampling, way: str) -> None:
    """Prints a row for each model: scores when stretched, changes, and rank before and after."""
    before, after = (ranks(models, each) for each in ("none", way))
    echo(f"\n{way}\n\n| network (accuracy) | map F1 | change | top-mask F1 | change | pointing | change | rank |")
    echo("|---|---|---|---|---|---|---|---|")
    for index in np.argsort(before):
        cells = [f"{models[index].name} ({models[index].accuracy:.2f})"]
        for metric in METRICS:
            stretched = np.nanmean(models[index].by_image["none", metric])
            cells += [f"{stretched:.3f}", format_change(change(models[index], way, metric), draws)]
        echo(f"| {' | '.join([*cells, f'{before[index]}, {after[index]}'])} |")
    cells = ["mean"]
    for metric in METRICS:
        changes = np.mean([change(model, way, metric) for model in models], axis=0)
        stretched = np.mean([np.nanmean(model.by_image["none", metric]) for model in models])
        cells += [f"{stretched:.3f}", format_change(changes, draws)]
    echo(f"| {' | '.join([*cells, ''])} |")


def ranks(models: Sequence[Scores], way: str) -> NDArray[np.int64]:
    """Ranks the models by their mean map F1."""
    means = np.array([np.nanmean(model.by_image[way, "map-f1"]) for model in models])
    return 1 + np.argsort(np.argsort(-means))


def print_order(models: Sequence[Scores], draws: Resampling, way: str) -> None:
    """Prints how many pairs of models change their order by a metric."""
    pairs = list(combinations(range(len(models)), 2))
    for metric in METRICS:
        before, after = ([estimate(model.by_image[each, metric], draws) for model in models] for each in ("none", way))
        turned = [
            (one, two)
            for one, two in pairs
            if (before[one].value - before[two].value) * (after[one].value - after[two].value) < 0
        ]
        drawn = np.sum([turns(before, after, pair) for pair in pairs], axis=0)
        shifts = [change(models[one], way, metric) - change(models[two], way, metric) for one, two in turned]
        clear = sum(not shift.low <= 0 <= shift.high for shift in (estimate(values, draws) for values in shifts))
        decided = sum(is_decided(before, pair) and is_decided(after, pair) for pair in turned)
        tau = kendalltau(*([each.value for each in way_values] for way_values in (before, after))).statistic
        low, high = np.quantile(drawn, [0.025, 0.975])
        echo(
            f"{way}, {metric}: {len(turned)} of {len(pairs)} pairs change their order [{low:.0f}, {high:.0f}]; the "
            f"change of {clear} of them is significant, and the order of {decided} both before and after; tau {tau:.2f}"
        )


def turns(before: Sequence[Estimate], after: Sequence[Estimate], pair: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether a pair changes its order in each draw."""
    one, two = pair
    return np.asarray((before[one].draws - before[two].draws) * (after[one].draws - after[two].draws) < 0)


def is_decided(rows: Sequence[Estimate], pair: tuple[int, int]) -> bool:
    """Whether the difference of a pair is significant."""
    result = difference(rows[pair[0]], rows[pair[1]])
    return not result.low <= 0 <= result.high


def main() -> None:
    """Prints the tables."""
    directory, architectures = sys.argv[1:2], sys.argv[2:]
    jobs = build(Path(directory[0]) if directory and directory[0] != "-" else None, architectures)
    models = [measure(job) for job in jobs]
    samples = jobs[0].data.samples
    draws = resampling(samples["group"].to_numpy()[jobs[0].data.test].tolist())
    for way in WAYS[1:]:
        print_models(models, draws, way)
        print_order(models, draws, way)


if __name__ == "__main__":
    main()
