"""Random noise, the control of every attack: the effect of an undirected change of the same size."""

import torch
from torch import Tensor

from benchmark.attacks.ball import Ball


def noise(images: Tensor, ball: Ball, generator: torch.Generator) -> Tensor:
    """Moves images by the whole budget in a random direction, then clips them to [0, 1].

    In L2 the direction is uniform on the sphere. In Linf each value changes by plus or minus eps, like the sign of a
    gradient.

    Args:
        images: (N, 3, H, W), float, in [0, 1].
        ball: Norm and budget.
        generator: Random generator, on any device. A batch uses it image by image.

    Returns:
        Moved images (N, 3, H, W), detached.
    """
    random = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
    return (images + ball.radius(images.shape[-1]) * ball.direction(random)).clamp(0.0, 1.0).detach()
