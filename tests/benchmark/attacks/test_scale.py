"""The scale of the logits counts nowhere: neither in a step, nor in what withstands an attack."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import LOSSES
from benchmark.attacks.pgd import PGD, pgd
from benchmark.attacks.slope import slope
from benchmark.attacks.vanishing import vanishes
from benchmark.scoring.predictions import build_attacks, predict_and_attack


class Scaled(nn.Module):
    """A network's twin: the same decisions from logits a factor as large."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images):
        return self.factor * self.network(images)


def pixels(images: torch.Tensor) -> torch.Tensor:
    return (255 * images).round().to(torch.uint8)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_twins_have_the_same_accuracy_under_attack(problem, norm):
    model, images, labels = problem(4, 24)
    attacks = build_attacks(norm, (3.0, 4.0) if norm == "l2" else (3 / 255, 6 / 255), 5, 5)

    def withstood(network: nn.Module) -> pd.Series:
        frame = predict_and_attack(network.eval(), pixels(images), labels, attacks=attacks, attacked=np.arange(24))
        return frame[[f"withstood:{name}" for name in attacks]].sum()

    own = withstood(model)
    assert own.iloc[0] > own.iloc[2]  # the budgets are such that some images withstand
    for factor in (1e-3, 3, 5, 10, 100, 1000, 10_000):
        assert (withstood(Scaled(model, factor)) - own).abs().max() <= 1, factor


def test_a_network_that_is_sure_is_attacked_by_its_cross_entropy_too(problem):
    """In float32 its loss and its gradient are exactly zero."""
    model, images, labels = problem(4, 12)
    sure = Scaled(model, 30.0).eval()
    right = model(images).argmax(dim=1) == labels
    assert (functional.cross_entropy(sure(images), labels, reduction="none")[right] == 0).any()
    loss_fn = partial(LOSSES["ce"], labels=labels)
    results = slope(sure, images, loss_fn)
    assert (results.losses > 0).all()
    wide = Scaled(model.double(), 30.0).eval()
    inputs = images.double().requires_grad_()
    (expected,) = torch.autograd.grad(loss_fn(wide(inputs)).sum(), inputs)
    for norm in ("l2", "linf"):
        ours, theirs = (Ball(norm, 1.0).direction(item).flatten(1) for item in (results.gradient, expected))
        if norm == "l2":
            torch.testing.assert_close(ours.double(), theirs, atol=1e-5, rtol=0)
        else:
            assert (ours == theirs).double().mean() > 0.999


@pytest.mark.parametrize("loss", ["ce", "dlr", "margin"])
def test_pgd_equals_its_literal_version(problem, loss):
    model, images, labels = problem(4, 6)
    how = PGD(norm="l2", eps=2.0, steps=5, step=0.5, random_start=False, loss=loss)
    # In float64 on both sides: in float32, kernels that sum in another order may open another rectifier.
    model, images, radius = model.double(), images.double(), 2.0 * 32 / 224
    results = pgd(model, images, labels, how)
    for image, label, ours in zip(images, labels, results, strict=True):
        x = image
        for _ in range(5):
            inputs = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(LOSSES[loss](model(inputs[None]), label[None]).sum(), inputs)
            delta = x - image + 0.5 * radius * gradient / gradient.norm()
            x = (image + delta * min(1.0, radius / float(delta.norm()))).clamp(0, 1)
        torch.testing.assert_close(ours, x, atol=1e-9, rtol=0)


def test_images_that_batchnorm_mixes_share_one_factor():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    images, labels = torch.rand(6, 3, 8, 8), torch.arange(6) % 3
    loss_fn = partial(functional.cross_entropy, target=labels, reduction="none")
    inputs = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss_fn(model(inputs)).sum(), inputs)
    results = slope(model, images, loss_fn, by_batch=True).gradient
    torch.testing.assert_close(results / results.norm(), expected / expected.norm(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_gradients_vanish_where_the_network_hides_them_and_not_by_its_scale(problem, norm):
    class Rounded(nn.Module):
        def forward(self, images):
            return model(images).round(decimals=2)

    class Faint(nn.Module):
        def forward(self, images):
            return 1e-9 * model(images) + torch.arange(4)

    model, images, labels = problem(4, 6)
    ball = Ball(norm, 0.5 if norm == "l2" else 2 / 255)
    for factor in (1e-4, 1.0, 1e4):
        assert not vanishes(Scaled(model, factor), images, labels, ball, "margin").any()
    for hidden in (Rounded(), Faint()):
        for loss in ("ce", "margin"):
            assert vanishes(hidden, images, labels, ball, loss).all()
    # The cross-entropy of a network that is beyond sure has no gradient in float64 either.
    assert vanishes(Scaled(model, 1e6), images, labels, ball, "ce").any()


def test_vanishing_gradients_are_recorded_of_right_predictions_alone(problem):
    model, images, labels = problem(4, 12)
    labels[:3] = (labels[:3] + 1) % 4
    attacks = build_attacks("l2", (0.5,), 3, 0)
    frame = predict_and_attack(model, pixels(images), labels, attacks=attacks, attacked=np.arange(10))
    column = frame["vanished:pgd-3-l2-0.5"]
    assert column[:3].isna().all()
    assert column[10:].isna().all()
    assert (column[3:10].dropna() == 0).all()
    assert column.notna().sum() > 3
