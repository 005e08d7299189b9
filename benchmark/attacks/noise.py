"""Noise, the control of every attack: what a change of that size does when nobody aims it."""

import torch
from torch import Tensor

from benchmark.attacks.ball import Ball


def noise(images: Tensor, ball: Ball, generator: torch.Generator) -> Tensor:
    """Images moved by the whole budget in a random direction, then put back into [0, 1].

    In L2 the direction is uniform over the sphere; in Linf each value goes up or down by eps, as under the sign of a
    gradient.

    Args:
        images: (N, 3, H, W), float, in [0, 1].
        ball: Norm and budget.
        generator: Source of the numbers, on any device; a batch draws them image by image.

    Returns:
        Moved images (N, 3, H, W), detached.
    """
    drawn = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
    return (images + ball.radius(images.shape[-1]) * ball.direction(drawn)).clamp(0.0, 1.0).detach()
