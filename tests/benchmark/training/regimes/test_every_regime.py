"""What all regimes keep to: their cost, the statistics of BatchNorm, seeds, types of numbers and budgets."""

from dataclasses import replace

import pytest
import torch

from benchmark.registry import entries
from benchmark.training.regimes import Regime
from tests.benchmark.training.regimes.made import SIDE, Watch, batch, network, watched

EPS = 2 / 255
SCAATS = ["scaat", "scaat-inverted", "scaat-random", "scaat-whole"]
NORMS = ["norm-l1", "norm-elastic", "norm-group"]
L2_BUDGETS = {"pgd-l2-tenth": 0.3, "pgd-l2-third": 1.0, "pgd-l2": 3.0}
REGIMES = sorted(entries(Regime))
# How often the model runs in evaluation mode with a backward pass to the image (two forward-equivalents), without one
# (one), and in training mode (three): that is also how often the BatchNorm statistics move.
PASSES = {
    "gaussian-noise": (0, 0, 1),
    "trades": (10, 1, 2),
    "fgsm-rs": (1, 0, 1),
    "free": (0, 0, 1),
    "sgt": (1, 0, 2),
    "scaat": (2, 0, 2),
    "scaat-inverted": (2, 0, 2),
    "scaat-random": (1, 1, 2),
    "scaat-whole": (1, 1, 2),
    "multitask": (0, 0, 1),
    "norm-l1": (1, 0, 1),
    "norm-elastic": (1, 0, 1),
    "norm-group": (1, 0, 1),
    "pgd-l2-tenth": (7, 0, 1),
    "pgd-l2-third": (7, 0, 1),
}


@pytest.mark.parametrize("name", PASSES)
def test_an_objective_costs_what_it_says_and_only_training_passes_move_the_statistics(name):
    to_image, target, training = PASSES[name]
    regime, now, model = entries(Regime)[name], batch(), network()
    watch = Watch(model)
    regime.objective(model, now)
    assert len(watch.inputs(training=False)) == to_image + target
    assert len(watch.inputs(training=True)) == training
    assert int(model.body[1].num_batches_tracked) == training
    assert regime.cost == 2 * to_image + target + 3 * training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("name", REGIMES)
def test_the_same_seed_gives_the_same_loss(name):
    losses = [watched(name, batch(), seed)[0] for seed in (3, 3)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", REGIMES)
def test_in_bfloat16_the_loss_is_finite_and_in_float64_and_every_weight_learns(name, channels_last):
    model, now = network(), batch()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        now = replace(now, images=now.images.contiguous(memory_format=torch.channels_last))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = entries(Regime)[name].objective(model, now)
    loss.backward()
    assert loss.dtype == torch.float64
    assert loss.isfinite()
    learning = {weight for weight, parameter in model.named_parameters() if parameter.grad is not None}
    assert learning == {weight for weight, _ in model.named_parameters() if name == "multitask" or "mask" not in weight}
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
    # bfloat16 has two to three digits, and an attack may choose other pixels.
    assert float(loss.detach()) == pytest.approx(float(watched(name, batch())[0].detach()), rel=0.05)


def copied_values(work) -> set[str]:
    """What a piece of work did for which a GPU would have to wait: single values read, sizes that depend on values."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        work()
    return {event.key for event in seen.key_averages()} & {"aten::_local_scalar_dense", "aten::nonzero"}


@pytest.mark.parametrize("name", REGIMES)
def test_an_objective_looks_at_no_value(name):
    now = batch()
    assert not copied_values(lambda: entries(Regime)[name].objective(network(), now).backward())
    assert copied_values(lambda: bool(now.images.max() > 0)) == {"aten::_local_scalar_dense"}


@pytest.mark.parametrize("name", ["trades", "fgsm-rs", "free", *SCAATS])
def test_attacked_images_keep_to_the_budget_and_to_the_range(name):
    images = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    images[0], images[1] = 0.0, 1.0
    memory: dict[str, torch.Tensor] = {}
    for _ in range(3):
        loss, watch = watched(name, batch(6, images=images, memory=memory))
        loss.backward()
        moved = watch.inputs(training=True)[-1]
        assert (moved - images).abs().max() <= (4 / 255 if name in SCAATS else EPS) + 1e-7
        assert moved.min() >= 0
        assert moved.max() <= 1
    assert not torch.equal(moved, images)


@pytest.mark.parametrize("name", L2_BUDGETS)
def test_the_budget_in_l2_is_used_up_and_not_exceeded(name):
    """It is that of images of 224 px. Gray images leave room for all of it."""
    now = batch(images=torch.full((6, 3, SIDE, SIDE), 0.5), labels=torch.tensor([0, 1, 2, 0, 1, 2]))
    _, watch = watched(name, now)
    moved = (watch.inputs(training=True)[-1] - now.images).flatten(1).norm(dim=1)
    expected = L2_BUDGETS[name] * SIDE / 224
    assert moved.max() <= expected * (1 + 1e-5)
    assert moved.min() > 0.8 * expected


def test_those_that_train_on_attacked_images_say_so():
    attacking = {name for name, regime in entries(Regime).items() if regime.adversarial}
    assert attacking == {"adversarial", "pgd-linf", "trades", "fgsm-rs", "free", *SCAATS, *NORMS, *L2_BUDGETS}
    assert all(1 <= regime.cost <= 30 for regime in entries(Regime).values())
