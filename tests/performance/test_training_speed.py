"""What a training step costs in each regime beside a bare forward and backward; an adversarial one beside a plain loop.

The cost model counts a forward pass, the gradient of the input and that of the weights as one each: a standard step is
three, a step of PGD-7 seventeen, so at best 5.67 times a standard one.
"""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from architectures import Architecture
from benchmark.registry import entries
from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.pgd_l2 import ATTACK
from benchmark.training.settings import Settings
from benchmark.training.tensor_data import TensorData
from benchmark.training.trainer import Trainer

SIDE, BATCH, CLASSES = 96, 16, 2
REGIMES = [name for name, regime in entries(Regime).items() if not regime.needs_masks and regime.init_from is None]
GROUP = f"training step, MobileNet, {BATCH} images of {SIDE} px"
PGD_GROUP = f"adversarial {GROUP}, PGD-{ATTACK.steps} in L2"


def network(device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    return entries(Architecture)["mobilenet"].build(CLASSES).to(device, memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def images(device, measures) -> torch.Tensor:
    batch, side = (BATCH, SIDE) if measures else (4, 32)
    return torch.rand(batch, 3, side, side).to(device, memory_format=torch.channels_last)


def trainer(name: str, images: torch.Tensor, compiled: str | None = None) -> tuple[Trainer, Batch]:
    """A training, and the batch that each of its steps is made with."""
    device, size = images.device, len(images)
    pixels = torch.randint(0, 256, images.shape, dtype=torch.uint8)
    data = TensorData(images=pixels.to(device), labels=torch.arange(size, device=device) % CLASSES)
    settings = Settings(epochs=10_000, batch_size=size, learning_rate=1e-4, bfloat16=False, compile=compiled)
    trainer = Trainer(network(device), data, entries(Regime)[name], settings, frozen=())
    trainer._set_train_mode()
    batch = trainer._batch(torch.arange(size, device=device), images, None, progress=0.9)
    return trainer, batch


@pytest.mark.parametrize("name", REGIMES)
def test_loupe(benchmark, timed, images, name):
    """A step as the loop makes it; the free regime's replays are steps of their own."""
    benchmark.group = PGD_GROUP if name == "pgd-l2" else GROUP
    learner, batch = trainer(name, images)
    benchmark.pedantic(timed(learner._step), (batch,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["cost model, standard steps"] = round(entries(Regime)[name].cost / 3, 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["standard", "pgd-l2"])
@pytest.mark.parametrize("compiled", [None, "default"], ids=["not-compiled", "loupe-compiled"])
def test_step(benchmark, timed, images, compiled, name, tmp_path, monkeypatch):
    """What torch.compile gains; the time that it takes itself, with nothing kept from before, is told beside."""
    if not benchmark.enabled:
        pytest.skip(
            "compiling takes a minute or two; tests/benchmark/training/test_compilation.py compiles a small network"
        )
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    benchmark.group = f"{name} {GROUP}, compiled by torch"
    learner, batch = trainer(name, images, compiled)
    begun = time.perf_counter()
    timed(learner._step)(batch)
    benchmark.extra_info["told"] = f"first step {time.perf_counter() - begun:.0f} s"
    benchmark.pedantic(timed(learner._step), (batch,), rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("group", [GROUP, PGD_GROUP], ids=["regimes", "pgd-l2"])
def test_floor(benchmark, timed, device, images, group):
    """Forward and backward alone, of images that are there: no attack, no clipping, no optimizer."""
    benchmark.group = group
    model, labels = network(device).train(), torch.arange(len(images), device=device) % CLASSES
    weights = tuple(model.parameters())

    def gradients() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(cross_entropy(model(images), labels), weights)

    benchmark.pedantic(timed(gradients), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=PGD_GROUP)
def test_plain_loop_with_pgd_by_backward(benchmark, timed, device, images):
    """What a user writes: an attack whose gradients come from loss.backward(), which computes the weights' too."""
    model, attack = network(device).train(), replace(ATTACK, random_start=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    labels = torch.arange(len(images), device=device) % CLASSES
    radius = attack.radius(images.shape[-1])

    def step() -> None:
        model.eval()
        moved = attack.random(images)
        for _ in range(attack.steps):
            moved = moved.detach().requires_grad_()
            cross_entropy(model(moved), labels).backward()
            norm = moved.grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-10
            delta = moved.detach() + attack.step * radius * moved.grad / norm - images
            length = delta.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-10
            moved = (images + delta * (radius / length).clamp(max=1)).clamp(0, 1)
        model.train()
        optimizer.zero_grad()
        cross_entropy(model(moved.detach()), labels).backward()
        optimizer.step()

    benchmark.pedantic(timed(step), rounds=5, warmup_rounds=1)
