"""Input-gradient-norm regularization is the formula of its paper."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from benchmark.training.regimes import gradient_norm
from tests.benchmark.training.regimes.made import batch, cross_entropy_by_hand, network


def test_the_gradient_norm_is_its_formula():
    now, model = batch(), network()
    loss = gradient_norm.gradient_norm(model, now)
    inputs = now.images.clone().requires_grad_()
    logits = network()(inputs)
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, now.labels, reduction="sum"), inputs)
    norms = [sum(abs(value) for value in image.flatten().tolist()) for image in gradient]
    weights = [float(now.class_weights[label]) for label in now.labels]
    penalty = sum(weight * norm for weight, norm in zip(weights, norms, strict=True)) / sum(weights)
    expected = cross_entropy_by_hand(logits.detach(), now) + 2 / 255 * penalty
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert int(model.body[1].num_batches_tracked) == 1


def test_the_weights_learn_from_the_gradient_norm_too():
    """The derivative of the whole loss by a weight equals the quotient of differences."""
    now = batch()
    now = replace(now, images=now.images.double())
    model = network().double()
    weight = model.classifier[2].weight
    gradient_norm.gradient_norm(model, now).backward()
    losses = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight[1, 7] += step
        losses.append(float(gradient_norm.gradient_norm(model, now).detach()))
        with torch.no_grad():
            weight[1, 7] -= step
    assert float(weight.grad[1, 7]) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4)
