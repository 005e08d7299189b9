"""A small network that has learned something, and a watch over what an attack may not touch."""

from contextlib import contextmanager
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional

SIDE = 32


@pytest.fixture(autouse=True)
def two_threads():
    """Also where files are tested side by side: what the small network learns depends on how sums are split."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


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


def untrained(classes: int) -> nn.Module:
    """Two convolutions, pooled, and a linear head; the saliency layer is "5"."""
    torch.manual_seed(0)
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
def learned(classes: int) -> dict[str, torch.Tensor]:
    model = untrained(classes)
    images, labels = patches(256, classes, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        chosen = torch.randint(0, len(images), (64,))
        optimizer.zero_grad()
        functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    return model.state_dict()


@pytest.fixture
def problem():
    """Makes a trained network in evaluation mode, and images (N, 3, 32, 32) that it has not seen, with labels."""

    def make(classes: int, number: int = 24) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
        model = untrained(classes)
        model.load_state_dict(learned(classes))
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
