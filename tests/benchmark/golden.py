"""Numbers of every entry, and of what entries share, to be compared with stored ones: python -m tests.benchmark.golden.

They are made of tiny networks and images. Each list is compared relative to its largest absolute number.
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch.nn import functional

from architectures import Architecture
from benchmark.attacks.apgd import apgd
from benchmark.attacks.pgd import pgd
from benchmark.diagnosis.predictions import attacks_of
from benchmark.presets import ENGINE_VERSION
from benchmark.registry import entries
from benchmark.saliency import Method
from benchmark.training.regimes import Regime
from metrics import Metric
from tests.benchmark.saliency.networks import Small, images
from tests.benchmark.test_training import SETTINGS, data, trained
from tests.metrics.maps import score, seeded

STORED = Path(__file__).parents[1] / "golden" / "numbers.json"
TOLERANCE = 1e-4

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
    maps = entry.draw(Small(), Small.layer, images(), torch.tensor([1, 3]))
    return functional.adaptive_avg_pool2d(maps.detach()[:, None], 4).flatten().tolist()


def of_metric(entry: Metric) -> Numbers:
    """Scores of four maps."""
    return score(entry, seeded(4)).tolist()


def of_regime(entry: Regime) -> Numbers:
    """Losses, and weights of the last layer, of a training of two epochs."""
    with torch.random.fork_rng(devices=[]):
        model, history = trained(entry, replace(SETTINGS, epochs=2 * entry.replays))
    return [*history.losses, *list(model.parameters())[-2].flatten().tolist()]


def of_attack(name: str) -> Numbers:
    """How an attack moves two images, coarsely."""
    attack = attacks_of("l2", (4.0,), 5, 5)[name]
    network, clean = Small(), images()
    labels = network(clean).argmax(dim=1)
    move = pgd if name.startswith("pgd") else apgd
    moved = move(network, clean, labels, attack) - clean
    return functional.adaptive_avg_pool2d(moved.detach(), 4).flatten().tolist()


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
    for name in attacks_of("l2", (4.0,), 5, 5):
        made[f"attack/{name}"] = lambda n=name: of_attack(n)
    made["training/bytes"] = lambda: data(6).images.double().mean(dim=(1, 2, 3)).tolist()
    return made


@cache
def now(name: str) -> Numbers:
    """Today's numbers of one name."""
    with torch.enable_grad():
        return sources()[name]()


def stored() -> dict[str, Numbers]:
    """The stored numbers by name."""
    return json.loads(STORED.read_text(encoding="utf-8"))["numbers"]


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
    known, names = sources(), set(names)
    numbers = {name: now(name) if name in names else told["numbers"].get(name) for name in sorted(known)}
    numbers = {name: values for name, values in numbers.items() if values is not None}
    told = {"engine_version": told.get("engine_version", ENGINE_VERSION), "numbers": numbers}
    lines = ",\n".join(f'  "{name}": {json.dumps([round(v, 9) for v in values])}' for name, values in numbers.items())
    text = f'{{\n "engine_version": {told["engine_version"]},\n "numbers": {{\n{lines}\n }}\n}}\n'
    STORED.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if STORED.is_file() and json.loads(STORED.read_text(encoding="utf-8"))["engine_version"] == ENGINE_VERSION:
        sys.exit("the stored numbers are of this ENGINE_VERSION; raise it first if what entries share computes others")
    STORED.unlink(missing_ok=True)
    store(sources())
