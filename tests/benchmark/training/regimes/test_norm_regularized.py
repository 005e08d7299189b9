"""Norm-regularized adversarial training is the formula of its paper."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from benchmark.training.regimes import Batch, norm_regularized
from tests.benchmark.training.regimes.made import SIDE, batch, cross_entropy_by_hand, network, watched

NORMS = ["norm-l1", "norm-elastic", "norm-group"]


def loss_gradients(now: Batch) -> torch.Tensor:
    """Gradient of the loss of each image alone, in evaluation mode."""
    model, found = network().eval(), []
    for image, label in zip(now.images, now.labels, strict=True):
        inputs = image[None].clone().requires_grad_()
        loss = functional.cross_entropy(model(inputs).double(), label[None])
        found.append(torch.autograd.grad(loss, inputs)[0][0])
    return torch.stack(found)


def unit_patches_by_hand(gradient: torch.Tensor) -> torch.Tensor:
    found = torch.zeros_like(gradient)
    height, width = gradient.shape[-2:]
    for image, channel in [(i, c) for i in range(len(gradient)) for c in range(gradient.shape[1])]:
        patches: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for y, x in [(y, x) for y in range(height) for x in range(width)]:
            patches.setdefault((y * 16 // height, x * 16 // width), []).append((y, x))
        for pixels in patches.values():
            values = [float(gradient[image, channel, y, x]) for y, x in pixels]
            root = math.sqrt(sum(value * value for value in values) / len(values))
            for (y, x), value in zip(pixels, values, strict=True):
                found[image, channel, y, x] = value / root if root else 0.0
    return found


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_regularized_step_is_its_formula(name):
    now = batch()
    gradient = loss_gradients(now)
    step = 0.01 * (unit_patches_by_hand(gradient) if name == "norm-group" else gradient.sign())
    if name == "norm-elastic":
        step += 0.1 * gradient
    loss, watch = watched(name, now)
    (found,) = watch.inputs(training=True)
    # A gradient near zero may have either sign.
    assert ((found - (now.images + step).clamp(0, 1)).abs() < 1e-6).float().mean() > 0.99
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(watch.outputs(training=True)[0], now), rel=1e-5)


def test_the_elastic_step_adds_the_gradient_itself_and_not_its_direction():
    now = batch()
    sure = replace(now, labels=network().eval()(now.images).argmax(dim=1))
    settings = norm_regularized.NormRegularized(norm="elastic", eps=0.0, eps2=0.5)
    step = norm_regularized.moved(network(), sure, settings) - sure.images
    torch.testing.assert_close(step, loss_gradients(sure), atol=2e-7, rtol=1e-4)
    assert 0 < step.abs().max() < 0.2


@pytest.mark.parametrize(("height", "width"), [(32, 32), (37, 44), (12, 50)])
def test_patches_have_the_root_mean_square_one(height, width):
    gradient = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(4))
    gradient[0, 1, : height // 2] = 0.0
    torch.testing.assert_close(norm_regularized.unit_patches(gradient), unit_patches_by_hand(gradient))
    torch.testing.assert_close(norm_regularized.unit_patches(1e-30 * gradient), unit_patches_by_hand(gradient))
    assert not norm_regularized.unit_patches(torch.zeros(1, 3, height, width)).any()


@pytest.mark.parametrize("name", NORMS)
def test_norm_regularized_images_stay_in_the_range(name):
    images = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).round()
    _, watch = watched(name, batch(6, images=images))
    (found,) = watch.inputs(training=True)
    assert found.min() == 0
    assert found.max() == 1
    assert not torch.equal(found, images)


@pytest.mark.parametrize("changes", [{"norm": "l2"}, {"eps": -0.1}, {"eps": 1.1}, {"eps2": -1.0}, {"eps2": math.inf}])
def test_invalid_settings_of_norm_regularized_training_are_refused(changes):
    with pytest.raises(ValueError, match="is invalid"):
        norm_regularized.NormRegularized(**({"norm": "l1", "eps": 0.1} | changes))
