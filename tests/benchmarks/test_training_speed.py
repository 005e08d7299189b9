"""What a training step costs in each regime, beside a standard step of the same code and beside a plain loop.

The cost model counts a forward pass, the gradient of the input and that of the weights as one each: a standard step is
three, a step of PGD-7 seventeen, so at best 5.67 times a standard one.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from architectures import Architecture
from benchmark.registry import entries
from benchmark.training.lesson import Lesson
from benchmark.training.loop import Settings, _Trainer
from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.pgd_l2 import ATTACK

SIDE, BATCH, CLASSES = 96, 16, 2
REGIMES = [name for name, regime in entries(Regime).items() if not regime.needs_masks and regime.start is None]
GROUP = f"training step, MobileNet, {BATCH} images of {SIDE} px"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that compete with other processes measure those."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network() -> nn.Module:
    torch.manual_seed(0)
    return entries(Architecture)["mobilenet"].build(CLASSES).to(memory_format=torch.channels_last)


def trainer(name: str) -> tuple[_Trainer, Batch]:
    """A training, and the batch that each of its steps is made with."""
    lesson = Lesson(
        images=torch.randint(0, 256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8), labels=torch.arange(BATCH) % CLASSES
    )
    settings = Settings(epochs=10_000, batch=BATCH, learning_rate=1e-4, bfloat16=False)
    trainer = _Trainer(network(), lesson, entries(Regime)[name], settings, frozen=())
    trainer._learning_mode()
    images = torch.rand(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    batch = trainer._batch(torch.arange(BATCH), images, None, progress=0.9)
    return trainer, batch


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("name", REGIMES)
def test_loupe(benchmark, name):
    """A step as the loop makes it; the free regime's replays are steps of their own."""
    learner, batch = trainer(name)
    benchmark.pedantic(learner._step, (batch,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["cost model, standard steps"] = round(entries(Regime)[name].cost / 3, 2)


@pytest.mark.benchmark(group=GROUP)
def test_plain_loop_with_pgd_by_backward(benchmark):
    """What a user writes: an attack whose gradients come from loss.backward(), which computes the weights' too."""
    model, attack = network().train(), replace(ATTACK, random_start=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images = torch.rand(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES
    radius = attack.radius(SIDE)

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
        optimiser.zero_grad()
        cross_entropy(model(moved.detach()), labels).backward()
        optimiser.step()

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)
