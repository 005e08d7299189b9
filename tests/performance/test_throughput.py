"""Images per second of a whole epoch of training, beside its bare forward and backward passes.

The epoch is that of the real loop: choosing the images, augmentation, attack, clipping, optimizer and schedule. The
bare loop makes the same passes through the same network, over one batch of random images that lies on the device, in
the same precision and memory format, and does nothing else; it is free to take kernels that do not repeat. On the CPU
there is a sample, on CUDA every architecture at 224 px in every regime that begins with no other's model and needs no
masks.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import cross_entropy

from architectures import Architecture
from benchmark.config.presets import STANDARD
from benchmark.registry import entries
from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.adversarial import ATTACK, DELAY
from benchmark.training.trainer import Trainer
from tests.performance.measuring import chosen_device, until_done
from tests.performance.resident import EPOCHS, exact_arithmetic, images_per_epoch, resident_batch, resident_training

ASKED_FOR = 0.8
"""Least share of the bare loop's images per second."""
ELEVEN = [name for name, entry in entries(Architecture).items() if entry.in_default_grid and not entry.predicts_masks]
REGIMES = [name for name, regime in entries(Regime).items() if not regime.needs_masks and regime.init_from is None]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    architectures: list[str]
    regimes: list[str]
    side: int
    batch: int
    steps: int
    rounds: int


ON_CPU = Size(
    architectures=["mobilenet", "resnet50"],
    regimes=["standard", "adversarial"],
    side=96,
    batch=16,
    steps=2,
    rounds=3,
)
ON_CUDA = Size(architectures=ELEVEN, regimes=REGIMES, side=224, batch=STANDARD.batch_size, steps=10, rounds=3)
UNTIMED = Size(architectures=[], regimes=[], side=48, batch=4, steps=1, rounds=1)
SIZE = ON_CUDA if chosen_device().type == "cuda" else ON_CPU


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass through the network.

    Attributes:
        learning: Whether it is made in training mode.
        images: Whether it goes on backward to the images.
        weights: Whether it goes on backward to the weights.
    """

    learning: bool
    images: bool
    weights: bool

    @property
    def cost(self) -> int:
        """In forward-equivalents, as :class:`Regime` counts them."""
        return 3 if self.weights else 1 + self.images


def passes_of(trainer: Trainer, batch: Batch) -> Counter[Pass]:
    """The passes that one step makes, seen by hooks: before the backward pass of the loss, and in it."""
    model = trainer.state.model
    calls: list[dict[str, bool]] = []

    def note(module, inputs, logits):
        call = {"learning": module.training, "asks": inputs[0].requires_grad, "went_back": False, "updates": False}
        calls.append(call)
        if logits.requires_grad:
            logits.register_hook(lambda _: call.update(went_back=True))

    handle = model.register_forward_hook(note)
    trainer._set_train_mode()
    loss = trainer._loss(trainer.network, batch)
    before = [call["went_back"] for call in calls]
    loss.backward()
    handle.remove()
    trainer.state.optimizer.zero_grad(set_to_none=True)
    return Counter(
        Pass(
            learning=call["learning"],
            images=call["asks"] and call["went_back"],
            weights=call["went_back"] and not attacked,
        )
        for call, attacked in zip(calls, before, strict=True)
    )


def bare_passes(trainer: Trainer, batch: Batch) -> Callable[[], None]:
    """The passes of one step of a training, and nothing else, with its network as it is."""
    model, passes = trainer.state.model, passes_of(trainer, batch)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def once(wanted: Pass) -> None:
        images = batch.images.detach().requires_grad_(wanted.images)
        with torch.set_grad_enabled(wanted.images or wanted.weights), trainer._autocast():
            loss = cross_entropy(model(images).float(), batch.labels)
        targets = [*([images] if wanted.images else []), *(weights if wanted.weights else [])]
        if targets:
            torch.autograd.grad(loss, targets)

    def step() -> None:
        for wanted, times in passes.items():
            model.train(wanted.learning)
            for _ in range(times):
                once(wanted)

    return step


@pytest.mark.parametrize("regime", SIZE.regimes)
@pytest.mark.parametrize("architecture", SIZE.architectures)
def test_loupe(benchmark, device, architecture, regime):
    size = SIZE if benchmark.enabled else UNTIMED
    what = {"side": size.side, "batch": size.batch, "steps": size.steps, "device": device}
    with exact_arithmetic():
        trainer = resident_training(architecture, regime, **what)
        step, best = bare_passes(trainer, resident_batch(trainer)), []

        def passes() -> None:
            for _ in range(size.steps * trainer.regime.batch_replays):
                step()

        def time_the_floor() -> None:
            """Before each round, so that both meet the same machine."""
            torch.backends.cudnn.deterministic = False
            begun = time.perf_counter()
            until_done(passes, device)()
            best.append(time.perf_counter() - begun)
            torch.backends.cudnn.deterministic = True

        precision = "bfloat16" if trainer.settings.bfloat16 else "float32"
        benchmark.group = f"training epoch, {architecture}, {size.batch} images of {size.side} px, {precision}"
        benchmark.pedantic(
            until_done(trainer.train_epoch, device), setup=time_the_floor, rounds=size.rounds, warmup_rounds=1
        )
    if benchmark.enabled:
        note(benchmark, images_per_epoch(trainer), min(best[1:]))
    assert len(trainer.state.history.losses) == EPOCHS + len(best)


def note(benchmark, images: int, floor: float) -> None:
    """Images per second and the share of the bare loop's, for the page."""
    ours = benchmark.stats.stats.min
    share = floor / ours
    missed = f", less than {ASKED_FOR}" if share < ASKED_FOR else ""
    benchmark.extra_info |= {"images per second": images / ours, "share of the floor": share}
    benchmark.extra_info["told"] = f"{images / ours:.3g} images/s, {share:.2f} of the bare passes{missed}"


@pytest.mark.parametrize("regime", [name for name in REGIMES if not entries(Regime)[name].second_order])
def test_the_passes_of_a_step_are_those_that_the_regime_says(regime):
    trainer = resident_training("mobilenet", regime, side=32, batch=2, steps=1, device=torch.device("cpu"))
    passes = passes_of(trainer, resident_batch(trainer))
    said = entries(Regime)[regime].cost
    if regime == "adversarial":  # its cost is the mean over the training, of which the first part has no attacks
        said += 2 * ATTACK.steps * DELAY
    assert sum(each.cost * times for each, times in passes.items()) == pytest.approx(said)
    assert any(each.weights and each.learning for each in passes)


def test_bare_passes_leave_no_gradients_and_make_as_many_passes():
    trainer = resident_training("mobilenet", "trades", side=32, batch=2, steps=1, device=torch.device("cpu"))
    batch = resident_batch(trainer)
    step, calls = bare_passes(trainer, batch), []
    trainer.state.model.register_forward_hook(lambda *_: calls.append(1))
    step()
    assert len(calls) == sum(passes_of(trainer, batch).values()) == 13
    assert all(parameter.grad is None for parameter in trainer.state.model.parameters())
