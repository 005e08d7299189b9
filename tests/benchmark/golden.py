"""Numbers of every entry, and of what entries share, to be compared with stored ones: python -m tests.benchmark.golden.

They are made of tiny networks and images. Each list is compared relative to its largest absolute number.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from architectures import Architecture
from benchmark import reliance
from benchmark.attacks.apgd import apgd
from benchmark.attacks.pgd import pgd
from benchmark.config.presets import ENGINE_VERSION, QUICK
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.experiments.cell import run_cell
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.registry import entries
from benchmark.reliance.measure import measure_reliance
from benchmark.saliency import Method
from benchmark.scoring.predictions import build_attacks
from benchmark.training.regimes import Regime
from benchmark.training.regimes.standard import STANDARD
from datasets.dermsynth import render
from metrics import Metric
from tests.benchmark.reliance.networks import pictures
from tests.benchmark.saliency.networks import Small, attending, images
from tests.benchmark.training.test_training import SETTINGS, trained
from tests.metrics.maps import score, seeded

STORED = Path(__file__).parents[1] / "golden" / "numbers.json"
METRICS = STORED.with_name("metrics.json")
METRIC = "metric/"
# Ten times what processors may make of it: the numbers of SSE4.1, AVX2 and AVX-512 kernels, by one thread and by two,
# lie within 9e-6 of each other.
TOLERANCE = 1e-4
TINY = Architecture(
    name="tiny",
    build=lambda classes: nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=4),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, classes),
    ),
    pretrained=None,
    target_layer="2",
    input_size=32,
    learning_rate=1e-2,
    quick_epochs=2,
    source="none",
)
CELL = replace(
    QUICK,
    image_size=32,
    limit=None,
    batch_size=8,
    num_perturbed=4,
    perturbation_steps=4,
    num_attacked=4,
    attack_steps=2,
)
SMOOTH = ("map-f1", "relevance-mass", "entropy", "insertion", "deletion")
"""Metrics in which rounding makes no leaps."""

Numbers = list[float]


def of_architecture(entry: Architecture) -> Numbers:
    """Mean size of the first weights, and logits of two images, of an untrained network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = entry.build(3).eval()
    with torch.inference_mode():
        logits = network(images(2, 96, 96))
    logits = logits / logits.abs().max()
    weights = torch.stack([parameter.detach().abs().mean() for parameter in network.parameters()])
    return [*logits.flatten().tolist(), (weights / weights.max()).mean().item()]


def of_method(entry: Method) -> Numbers:
    """Coarse maps of two images."""
    network, layer = (attending(), "grid") if entry.needs_attention else (Small(), Small.layer)
    maps = entry.explain(network, layer, images(), torch.tensor([1, 3]))
    return functional.adaptive_avg_pool2d(maps.detach()[:, None], 4).flatten().tolist()


def of_metric(entry: Metric) -> Numbers:
    """Scores of four maps."""
    return score(entry, seeded(4)).tolist()


def of_regime(entry: Regime) -> Numbers:
    """Losses, and weights of the last layer, of a training of two epochs."""
    with torch.random.fork_rng(devices=[]):
        model, history = trained(entry, replace(SETTINGS, epochs=2 * entry.batch_replays))
    return [*history.losses, *list(model.parameters())[-2].flatten().tolist()]


def of_attack(name: str) -> Numbers:
    """How an attack moves two images under each of its losses, coarsely."""
    network, clean = Small(), images()
    labels = network(clean).argmax(dim=1)
    move = pgd if name.startswith("pgd") else apgd
    changes = [move(network, clean, labels, attack) - clean for attack in build_attacks("l2", (4.0,), 5, 5)[name]]
    return functional.adaptive_avg_pool2d(torch.cat(changes).detach(), 4).flatten().tolist()


def of_cell() -> Numbers:
    """Mean probabilities and mean scores of a cell from the file to the record: what entries share, all of it."""
    with (
        tempfile.TemporaryDirectory() as directory,
        mock.patch.dict("os.environ", LOUPE_RUNS=f"{directory}/runs"),
        mock.patch.dict("benchmark.registry._external", {Architecture: [sys.modules[__name__]]}),
    ):
        render(Path(directory, "data"), images=26, side=48, seed=3)
        prepared = prepare_dataset(load_index(Source(directory=Path(directory, "data"))), CELL)
        cell = Cell(architecture=TINY, regime=STANDARD, seed=0)
        job = Job(cell=cell, data=prepared, preset=CELL, device=torch.device("cpu"), bfloat16=False)
        with torch.random.fork_rng(devices=[]):
            done = run_cell(job, lambda *_: None)
        predictions, scores = (pd.read_parquet(done / f"{name}.parquet") for name in ("predictions", "scores"))
    means = scores[scores["metric"].isin(SMOOTH)].groupby(["method", "level", "metric"], observed=True)["value"].mean()
    return [*predictions.filter(regex="^p[0-9]").mean(), *means]


def of_reliance() -> Numbers:
    """Means of all columns of reliance: regions, places, fills and measures. Another number is another VERSION."""
    made, _ = pictures(8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TINY.build(3).eval()
    frame = measure_reliance(model, TINY.target_layer, made, torch.device("cpu"))
    return [reliance.VERSION, *frame.mean().dropna()]


def sources() -> dict[str, Callable[[], Numbers]]:
    """By name, what computes the numbers."""
    made: dict[str, Callable[[], Numbers]] = {}
    for kind, numbers in (
        (Architecture, of_architecture),
        (Method, of_method),
        (Metric, of_metric),
        (Regime, of_regime),
    ):
        for name, entry in entries(kind).items():
            made[f"{kind.__name__.lower()}/{name}"] = lambda n=numbers, e=entry: n(e)
    for name in build_attacks("l2", (4.0,), 5, 5):
        made[f"attack/{name}"] = lambda n=name: of_attack(n)
    made["cell/tiny"] = of_cell
    made["reliance/tiny"] = of_reliance
    return made


@cache
def now(name: str) -> Numbers:
    """Today's numbers of one name."""
    with torch.enable_grad():
        return sources()[name]()


def stored() -> dict[str, Numbers]:
    """The stored numbers by name; those of metrics lie in a file of their own."""
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    numbers = json.loads(STORED.read_text(encoding="utf-8"))["numbers"]
    return numbers | {f"{METRIC}{name}": values for name, values in metrics.items()}


def differ(found: Numbers, expected: Numbers) -> float:
    """Largest difference as a share of the largest number; endless where one is missing or undefined elsewhere."""
    one, other = torch.tensor(found, dtype=torch.float64), torch.tensor(expected, dtype=torch.float64)
    if one.shape != other.shape or not torch.equal(one.isnan(), other.isnan()):
        return float("inf")
    largest = other.nan_to_num().abs().max().clamp(min=1e-12)
    return float((one - other).nan_to_num().abs().max() / largest)


def differing(names: Iterable[str]) -> list[str]:
    """Which of the names have other numbers than stored; new ones have none to differ from."""
    known = stored()
    return [name for name in names if name in known and differ(now(name), known[name]) > TOLERANCE]


def store(names: Iterable[str]) -> None:
    """Stores today's numbers of these names, and forgets those of entries that are gone."""
    told = json.loads(STORED.read_text(encoding="utf-8")) if STORED.is_file() else {"numbers": {}}
    kept = told["numbers"] | {f"{METRIC}{name}": values for name, values in json.loads(METRICS.read_text()).items()}
    chosen = set(names)
    every = {name: now(name) if name in chosen else kept.get(name) for name in sorted(sources())}
    numbers = {name: values for name, values in every.items() if values is not None}
    metrics = {name.removeprefix(METRIC): numbers.pop(name) for name in every if name.startswith(METRIC)}
    METRICS.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    told = {"engine_version": told.get("engine_version", ENGINE_VERSION), "numbers": numbers}
    lines = ",\n".join(f'  "{name}": {json.dumps([round(v, 9) for v in values])}' for name, values in numbers.items())
    text = f'{{\n "engine_version": {told["engine_version"]},\n "numbers": {{\n{lines}\n }}\n}}\n'
    STORED.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if STORED.is_file() and json.loads(STORED.read_text(encoding="utf-8"))["engine_version"] == ENGINE_VERSION:
        sys.exit("the stored numbers are of this ENGINE_VERSION; raise it first if what entries share computes others")
    STORED.unlink(missing_ok=True)
    store(sources())
