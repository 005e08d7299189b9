"""A small network that knows something, and a watch over what an attack may not touch."""

from contextlib import contextmanager
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.attacks.losses import margin

SIDE = 32


def patches(number: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gray noise with one colored square anywhere; its color is the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % classes
    pixels = 0.4 + 0.2 * torch.rand(number, 3, SIDE, SIDE, generator=generator)
    colors = torch.rand(classes, 3, generator=torch.Generator().manual_seed(7)) - 0.5
    for picture, label in zip(pixels, labels, strict=True):
        top, left = torch.randint(0, SIDE - 8, (2,), generator=generator)
        picture[:, top : top + 8, left : left + 8] += 0.5 * colors[label][:, None, None]
    return pixels.clamp(0, 1), labels


def untrained(classes: int) -> nn.Sequential:
    """Two convolutions, pooled, and a linear head; the saliency layer is "5"."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


@cache
def constructed(classes: int) -> dict[str, torch.Tensor]:
    """Weights that tell the colors apart, computed and not learned.

    What sixty steps of training give is another network under each set of kernels and with each number of threads. So
    the filters are drawn, uniformly, which is the same numbers everywhere: first colors, then mixtures of them, each
    silent up to half a standard deviation above its mean. The head is the ridge regression on what they answer, in
    float64 and rounded to 1/4096, with a mean lead of 5 for the right class (on new images the least lead is 1.8).
    """
    model = untrained(classes).double().eval()
    images, labels = patches(256, classes, seed=0)
    draw = torch.Generator().manual_seed(0)

    def even(*shape: int) -> torch.Tensor:
        return 2 * torch.rand(*shape, generator=draw).double() - 1

    with torch.no_grad():
        colors = functional.normalize(even(16, 3))[:, :, None, None]
        model[0].weight.copy_(colors * (1 + 0.3 * even(16, 3, 3, 3)) / 9)
        model[3].weight.copy_(even(32, 16)[:, :, None, None] * (1 + 0.3 * even(32, 16, 3, 3)) / 36)
        for index in (0, 3):
            model[index].bias.zero_()
            answers = model[: index + 1](images.double())
            model[index + 1].running_mean = answers.mean(dim=(0, 2, 3))
            model[index + 1].running_var = answers.var(dim=(0, 2, 3))
            model[index + 1].bias.fill_(-0.5)
        features = model[:8](images.double())
        centered = features - features.mean(dim=0)
        ridge = 0.1 * centered.square().sum(dim=0).mean() * torch.eye(32)
        target = functional.one_hot(labels, classes) - 1 / classes
        weight = torch.linalg.solve(centered.T @ centered + ridge, centered.T @ target.double())
        if classes > 1:
            weight *= 5 / -margin(centered @ weight, labels).mean()
        model[8].weight.copy_(weight.T)
        model[8].bias.copy_(-features.mean(dim=0) @ weight)
        return {name: (4096 * value).round().div(4096).float() for name, value in model.state_dict().items()}


@pytest.fixture
def problem():
    """Makes a network that knows its classes, in evaluation mode, and images (N, 3, 32, 32) new to it, with labels."""

    def make(classes: int, number: int = 24) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
        model = untrained(classes)
        model.load_state_dict(constructed(classes))
        return model.eval(), *patches(number, classes, seed=3)

    return make


@pytest.fixture
def untouched():
    """Asserts that a block leaves weights, buffers, gradients, switches, hooks and random numbers of a model alone."""

    @contextmanager
    def watch(model: nn.Module):
        first = next(model.parameters())
        first.requires_grad_(requires_grad=False)
        model.train()[1].eval()
        last = list(model.parameters())[-1]
        last.grad = torch.ones_like(last)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        random = torch.random.get_rng_state()
        yield
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert torch.equal(last.grad, torch.ones_like(last))
        assert all(parameter.grad is None for parameter in list(model.parameters())[:-1])
        assert [parameter.requires_grad for parameter in model.parameters()] == [
            parameter is not first for parameter in model.parameters()
        ]
        assert [module.training for module in model.modules()] == [module is not model[1] for module in model.modules()]
        assert not any(module._forward_hooks for module in model.modules())
        assert torch.equal(torch.random.get_rng_state(), random)

    return watch
