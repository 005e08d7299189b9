"""SCAAT-like training: its attack in a slow loop, its masks and its budgets."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmark.registry import entries
from benchmark.training.losses.divergence import divergence
from benchmark.training.losses.saliency_mask import label_gradient, lowest
from benchmark.training.regimes import Batch, Regime, scaat
from tests.benchmark.training.regimes.made import (
    SIDE,
    assert_lowest,
    batch,
    consistency_by_hand,
    network,
    saliency_by_hand,
    watched,
)

EPS = 2 / 255
SCAATS = {
    "scaat": scaat.SETTINGS,
    "scaat-inverted": scaat.INVERTED,
    "scaat-random": scaat.RANDOM,
    "scaat-whole": scaat.WHOLE,
}


def scaat_by_hand(model: nn.Module, now: Batch, eps: torch.Tensor, settings: scaat.SCAAT) -> torch.Tensor:
    """The formula, an image at a time, for the constraint "lowest"; the start is drawn as the code does."""
    start = 2 * torch.rand_like(now.images) - 1
    masks = lowest(label_gradient(model, now.images, now.labels)[1].abs().mean(dim=1), settings.k)
    model.eval()
    moved = []
    for x, mask, noise, budget in zip(now.images, masks, start, eps, strict=True):
        target = model(x[None]).detach()
        d = mask * noise * budget
        for _ in range(settings.steps):
            inputs = d.clone().requires_grad_()
            apart = divergence(target, model((x + inputs)[None])).sum()
            d = d + settings.step * budget * torch.autograd.grad(apart, inputs)[0].sign()
            d = torch.minimum(torch.maximum(d, -budget * mask), budget * mask)
            d = (x + d).clamp(0, 1) - x
        moved.append(x + d)
    model.train()
    return torch.stack(moved)


@pytest.mark.parametrize(("steps", "step"), [(1, 1.25), (4, 0.4)])
def test_scaat_moves_the_images_as_the_slow_formula_does(steps, step):
    now, model = batch(), network()
    settings = replace(scaat.SETTINGS, steps=steps, step=step)
    eps = torch.linspace(1 / 255, 4 / 255, 8)
    torch.manual_seed(0)
    found = scaat.attacked(model, now, eps, settings)
    torch.manual_seed(0)
    expected = scaat_by_hand(model, now, eps, settings)
    assert ((found - expected).abs() < 1e-6).float().mean() > 0.99


def test_scaat_is_its_formula():
    now = batch()
    loss, watch = watched("scaat", now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert float(loss.detach()) == pytest.approx(consistency_by_hand(watch, now, weight=1.0), rel=1e-5)


@pytest.mark.parametrize("name", SCAATS)
def test_scaat_moves_the_pixels_of_its_mask_and_no_others(name):
    now, model, settings = batch(), network(), replace(SCAATS[name], steps=3)
    eps = torch.linspace(0.5 / 255, 4 / 255, 8)
    delta = scaat.attacked(model, now, eps, settings) - now.images
    moved = (delta != 0).any(dim=1)
    saliency = saliency_by_hand(model, now).abs().mean(dim=1)
    if name == "scaat":
        assert_lowest(moved, saliency)
    if name == "scaat-inverted":
        assert_lowest(~moved, saliency)
    if name == "scaat-random":
        assert moved.sum(dim=(1, 2)).tolist() == [SIDE**2 // 2] * 8
        # Half of the less salient ones are among them, give or take four deviations.
        assert (moved & (saliency < saliency.flatten(1).median(dim=1).values[:, None, None])).sum() == pytest.approx(
            8 * SIDE**2 / 4, abs=4 * (8 * SIDE**2 / 16) ** 0.5
        )
        assert not torch.equal(moved[0], moved[1])
    if name == "scaat-whole":
        assert moved.all()
    assert (delta.abs().amax(dim=(1, 2, 3)) <= eps + 1e-7).all()


@pytest.mark.parametrize("name", SCAATS)
def test_a_budget_grows_when_the_label_survives_and_shrinks_when_it_does_not(name):
    now = batch()
    _, watch = watched(name, now)
    predicted = watch.outputs(training=True)[1].argmax(dim=1)
    survived = torch.arange(8) % 2 == 0
    # The same seed, so that the same images are attacked, but other labels: those of the even ones are right.
    labels = torch.where(survived, predicted, (predicted + 1) % 3)
    now = batch(labels=labels)
    _, watch = watched(name, now)
    survived = watch.outputs(training=True)[1].argmax(dim=1) == labels
    assert 0 < survived.sum() < 8
    expected = torch.full((20,), EPS)
    for place, good in zip(now.indices, survived, strict=True):
        expected[place] = EPS * 1.1 if good else EPS / 1.1
    torch.testing.assert_close(now.memory[scaat.BUDGETS], expected)


def test_budgets_stay_within_their_bounds_and_are_those_of_the_next_attack():
    now = batch()
    for _ in range(30):
        _, watch = watched("scaat", now)
    budgets = now.memory[scaat.BUDGETS]
    assert budgets.min() == pytest.approx(0.5 / 255)
    assert budgets.max() == pytest.approx(4 / 255)
    used = (watch.inputs(training=True)[1] - now.images).abs().amax(dim=(1, 2, 3))
    assert (used <= budgets[now.indices] * 1.1 + 1e-7).all()
    assert used.max() > 3 / 255
    assert torch.equal(budgets[1::2], torch.full((10,), EPS))


def test_budgets_may_stay_as_they_are():
    now = batch()
    scaat.scaat_objective(replace(scaat.SETTINGS, adapt=1.0))(network(), now)
    assert torch.equal(now.memory[scaat.BUDGETS], torch.full((20,), EPS))


def test_every_entry_of_scaat_says_that_it_is_a_reconstruction():
    for name in SCAATS:
        regime = entries(Regime)[name]
        assert all("reconstruction" in text for text in (regime.title, regime.description.lower(), regime.source))
    assert entries(Regime)["scaat"].title == "SCAAT-like (own reconstruction)"
    assert len({entries(Regime)[name].title for name in SCAATS}) == len(SCAATS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"constraint": "soft"},
        {"k": 0.0},
        {"k": 1.1},
        {"steps": 0},
        {"step": 0.0},
        {"eps": 5 / 255},
        {"bounds": (0.0, 4 / 255)},
        {"bounds": (4 / 255, 2 / 255)},
        {"adapt": 0.9},
        {"lam": -1.0},
        {"lam": math.nan},
    ],
)
def test_scaat_refuses_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="is invalid"):
        replace(scaat.SETTINGS, **wrong)
