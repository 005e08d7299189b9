"""Methods of gradients equal Captum, closed forms and slow loops."""

import warnings

import pytest
import torch
from captum.attr import GuidedBackprop, Saliency
from torch import nn
from torch.nn import functional

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency.gradient import gradient
from benchmark.saliency.guided_backprop import guided_backprop
from benchmark.saliency.input_x_gradient import input_x_gradient
from benchmark.saliency.integrated_gradients import integrated_gradients
from benchmark.saliency.smooth_grad import NOISE_LEVEL, NUM_SAMPLES, SEED, smooth_grad
from tests.benchmark.saliency.networks import Linear, Pooled, Small, images

CLASSES = torch.tensor([2, 1])


def test_gradient_equals_captum():
    model, inputs = Pooled(), images()
    oracle = Saliency(model).attribute(inputs.clone().requires_grad_(), target=CLASSES, abs=True).sum(dim=1)
    # Terms cancel: what is left is as near as the largest values are rounded, 16 units in the last place.
    atol = 16 * torch.finfo(torch.float32).eps * float(oracle.max())
    torch.testing.assert_close(gradient(model, "", inputs, CLASSES), oracle, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("method", [gradient, guided_backprop, smooth_grad])
def test_of_a_linear_model_the_gradient_is_its_weights(method):
    model = Linear()
    expected = model.weight[CLASSES].abs().sum(dim=1).detach()
    torch.testing.assert_close(method(model, "", images(), CLASSES), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", [input_x_gradient, integrated_gradients])
def test_of_a_linear_model_the_attribution_is_weight_times_pixel(method):
    model, inputs = Linear(), images()
    expected = (model.weight[CLASSES] * inputs).sum(dim=1).clamp(min=0).detach()
    torch.testing.assert_close(method(model, "", inputs, CLASSES), expected, atol=1e-5, rtol=1e-5)


def test_integrated_gradients_equal_a_long_sum():
    model, inputs = (
        nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(192, 8), nn.Softplus(), nn.Linear(8, 4)),
        images(),
    )
    total = torch.zeros_like(inputs, dtype=torch.float64)
    for step in range(400):
        point = (inputs * (step + 0.5) / 400).requires_grad_()
        target = model(point)[range(2), CLASSES].sum()
        total += torch.autograd.grad(target, point)[0] / 400
    expected = (total * inputs).sum(dim=1).clamp(min=0)
    ours = integrated_gradients(model, "", inputs, CLASSES)
    torch.testing.assert_close(ours.double(), expected, atol=1e-5 * expected.max().item(), rtol=0)


class Squares(nn.Module):
    """All attributions are positive: nothing is lost when they are rectified, and they add up to the logit."""

    def forward(self, x):
        return torch.stack([x.square().sum(dim=(1, 2, 3)), x.pow(3).sum(dim=(1, 2, 3)), x.sum(dim=(1, 2, 3))], dim=1)


def test_integrated_gradients_add_up():
    model, inputs = Squares().eval(), images()
    maps = integrated_gradients(model, "", inputs, CLASSES)
    torch.testing.assert_close(maps.sum(dim=(1, 2)), model(inputs)[range(2), CLASSES], atol=0, rtol=1e-4)
    torch.testing.assert_close(maps[1], inputs[1].pow(3).sum(dim=0), atol=1e-5, rtol=1e-4)


def test_smooth_grad_is_the_mean_over_noisy_copies():
    model, inputs = Small(), images()
    expected = []
    for image, label in zip(inputs, CLASSES, strict=True):
        random, total = torch.Generator().manual_seed(SEED), 0
        noises = torch.randn(NUM_SAMPLES, 3, 64, 64, generator=random)
        for noise in noises:
            copy = (image + NOISE_LEVEL * (image.max() - image.min()) * noise)[None].requires_grad_()
            total = total + torch.autograd.grad(model(copy)[0, label], copy)[0][0].double()
        expected.append((total / NUM_SAMPLES).abs().sum(dim=0))
    ours = smooth_grad(model, "", inputs, CLASSES).double()
    expected = torch.stack(expected)
    torch.testing.assert_close(ours, expected, atol=1e-5 * expected.max().item(), rtol=0)
    assert abs(noises.std() - 1) < 0.01


def test_guided_backprop_equals_captum():
    """On a network without what Captum misses or misreads: ReLU6, SiLU, functions, a ReLU whose input others read."""
    torch.manual_seed(0)
    model, inputs = entries(Architecture)["densenet121"].build(6).eval(), images(2, 96, 96)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        oracle = GuidedBackprop(model).attribute(inputs.clone().requires_grad_(), target=CLASSES).abs().sum(dim=1)
    ours = guided_backprop(model, "", inputs, CLASSES)
    assert not torch.allclose(ours, gradient(model, "", inputs, CLASSES), atol=0.1 * ours.max().item())
    torch.testing.assert_close(ours, oracle, atol=1e-5 * oracle.max().item(), rtol=0)


class Guided(torch.autograd.Function):
    """A rectifier that lets only positive gradients back, and those only where its derivative is not zero."""

    @staticmethod
    def forward(context, x, rectifier):
        with torch.enable_grad():
            detached = x.detach().requires_grad_()
            output = rectifier(detached)
            (slope,) = torch.autograd.grad(output.sum(), detached)
        context.save_for_backward(slope)
        return output.detach()

    @staticmethod
    def backward(context, grad_output):
        (slope,) = context.saved_tensors
        return grad_output.clamp(min=0) * slope, None


class Rectified(nn.Module):
    """A network with rectifiers of every make: modules, functions, methods, in place, used twice, beside a short cut.

    Args:
        literal: Whether they are written as guided ones, so that the plain gradient is the guided one.
    """

    def __init__(self, *, literal):
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.weights = [torch.randn(6, 6 if i else 3, 3, 3, generator=random) * 0.3 for i in range(6)]
        self.linear = torch.randn(3, 6, generator=random)
        self.relu = nn.ReLU(inplace=True)
        makes = {
            "module": (self.relu, torch.relu),
            "method": (lambda x: x.relu_(), torch.relu),
            "function": (functional.relu, torch.relu),
            "six": (nn.ReLU6(inplace=True), lambda x: x.clamp(0, 6)),
            "silu": (nn.SiLU(inplace=True), lambda x: x * x.sigmoid()),
        }
        self.make = {
            name: (lambda x, plain=plain: Guided.apply(x, plain)) if literal else ours
            for name, (ours, plain) in makes.items()
        }

    def convolve(self, x, i):
        return functional.conv2d(x, self.weights[i], padding=1)

    def forward(self, x):
        x = self.make["module"](self.convolve(x, 0))
        x = self.make["module"](self.convolve(x, 1))
        x = self.make["method"](self.convolve(x, 2))
        # What the ReLU reads is read by the short cut too, and is not rectified on the way back from there.
        before = self.convolve(x, 3)
        x = before - self.convolve(self.make["function"](before), 4)
        x = self.make["six"](6 * x)
        x = self.make["silu"](self.convolve(x, 5))
        return x.mean(dim=(2, 3)) @ self.linear.T


def test_guided_backprop_sees_every_make_of_rectifier():
    inputs = images(2, 16, 16)
    ours = guided_backprop(Rectified(literal=False), "", inputs, CLASSES)
    expected = gradient(Rectified(literal=True), "", inputs, CLASSES)
    plain = gradient(Rectified(literal=False), "", inputs, CLASSES)
    scale = expected.max().item()
    assert (plain - expected).abs().max() > 0.1 * scale
    torch.testing.assert_close(ours, expected, atol=1e-5 * scale, rtol=0)
