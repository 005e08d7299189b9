"""Free adversarial training, step by step."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.training.regimes import Batch, free
from tests.benchmark.training.regimes.made import batch, network, watched

EPS = 2 / 255


def free_by_hand(model: nn.Module, batches: list[Batch]) -> tuple[list[torch.Tensor], list[float]]:
    """Perturbations and losses, with the perturbation as one more weight."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    delta = torch.zeros_like(batches[0].images)
    deltas, losses = [], []
    for now in batches:
        delta = (now.images + delta).clamp(0, 1) - now.images
        delta.requires_grad_()
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(now.images + delta), now.labels, weight=now.class_weights)
        loss.backward()
        delta = (delta.detach() + EPS * delta.grad.sign()).clamp(-EPS, EPS)
        delta = (now.images + delta).clamp(0, 1) - now.images
        optimizer.step()
        deltas.append(delta)
        losses.append(float(loss.detach()))
    return deltas, losses


def test_free_is_its_algorithm_for_two_replays_and_another_batch():
    memory: dict[str, torch.Tensor] = {}
    first = batch(memory=memory)
    # Dark images, so that the range holds the perturbation back.
    second = replace(first, images=first.images.flip(0) * 0.01, labels=first.labels.flip(0))
    batches = [first, first, second]
    deltas, losses = free_by_hand(network(), batches)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for now, delta, loss_by_hand in zip(batches, deltas, losses, strict=True):
        optimizer.zero_grad()
        loss = free.free(model, now)
        assert float(loss.detach()) == pytest.approx(loss_by_hand, rel=1e-4)
        loss.backward()
        optimizer.step()
        found = memory[free.PERTURBATION]
        assert ((found - delta).abs() < 1e-6).float().mean() > 0.99
        assert found.abs().max() <= EPS + 1e-7
        assert not found.requires_grad


def test_free_begins_on_the_images_themselves_and_moves_with_the_backward_pass_only():
    now = batch()
    loss, watch = watched("free", now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert not now.memory
    loss.backward()
    best_weights = now.memory[free.PERTURBATION]
    assert best_weights.abs().max() == pytest.approx(EPS, rel=1e-4)
    _, watch = watched("free", now)
    torch.testing.assert_close(watch.inputs(training=True)[0], now.images + best_weights)
    assert now.memory[free.PERTURBATION] is best_weights
    _, watch = watched("free", batch(5, memory=now.memory))
    assert torch.equal(watch.inputs(training=True)[0], batch(5).images)


def test_free_holds_no_batch_in_a_circle():
    seen = []
    model = network()
    model.register_forward_pre_hook(lambda _model, inputs: seen.append(weakref.ref(inputs[0])))
    gc.disable()
    try:
        free.free(model, batch()).backward()
        assert seen[0]() is None
    finally:
        gc.enable()
