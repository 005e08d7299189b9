"""Noise uses up the budget, and only the budget."""

import pytest
import torch

from benchmark.attacks.ball import Ball
from benchmark.attacks.noise import noise


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("channels_last", [False, True])
def test_noise_has_exactly_the_size_of_the_budget(channels_last):
    images = torch.full((5, 3, 28, 28), 0.5)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    delta = (noise(images, Ball("l2", 2.0), seeded()) - images).flatten(1)
    torch.testing.assert_close(delta.norm(dim=1), torch.full((5,), 2.0 * 28 / 224), atol=1e-6, rtol=0)
    delta = noise(images, Ball("linf", 0.02), seeded()) - images
    torch.testing.assert_close(delta.abs(), torch.full_like(delta, 0.02), atol=1e-6, rtol=0)
    assert delta.mean().abs() < 1e-3


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_noise_stays_in_the_ball_and_in_the_range(norm):
    images = torch.rand(6, 3, 28, 28, generator=seeded())
    images[0], images[1] = 0.0, 1.0
    ball = Ball(norm, 40.0 if norm == "l2" else 0.3)
    moved = noise(images, ball, seeded())
    delta = (moved - images).flatten(1)
    assert (delta.norm(dim=1) if norm == "l2" else delta.abs().amax(dim=1)).max() <= ball.radius(28) * (1 + 1e-5)
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_the_generator_alone_decides():
    images = torch.rand(4, 3, 16, 16, generator=seeded())
    state = torch.random.get_rng_state()
    first = noise(images, Ball("l2", 3.0), seeded())
    again = noise(images.contiguous(memory_format=torch.channels_last), Ball("l2", 3.0), seeded())
    torch.testing.assert_close(first, again)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(first, noise(images, Ball("l2", 3.0), torch.Generator().manual_seed(1)))


def test_no_budget_means_no_noise():
    images = torch.rand(4, 3, 16, 16, generator=seeded())
    assert torch.equal(noise(images, Ball("linf", 0.0), seeded()), images)
