"""Whether a gradient leads an attack anywhere."""

import torch
from torch import Tensor, nn

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import LOSSES, Loss
from benchmark.attacks.mode import evaluating
from benchmark.attacks.slope import slope
from benchmark.runtime.precision import precise
from metrics.rounding import ROUNDING_ULPS


def vanishes(model: nn.Module, images: Tensor, labels: Tensor, ball: Ball, loss: Loss) -> Tensor:
    """Whether the gradient of a loss at each image is zero, or nearly so.

    Nearly: followed to the end of the budget as if the network were linear, it moves the logits by no more than their
    rounding. The gradient at the logits counts at a largest element of one, so that neither the scale of the logits nor
    a small probability makes it vanish: a network and its twin with logits ten thousand times as large are alike.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C); in evaluation mode for the time of it.
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        ball: Norm and budget.
        loss: What is raised.

    Returns:
        (N,), bool; false where the budget is zero.
    """
    with evaluating(model):
        found = slope(model, images, lambda logits: LOSSES[loss](logits, labels))
    # In the dual norm: the most that a change of size one gains. In float64, where squares do not vanish.
    order = 2 if ball.norm == "l2" else 1
    gain = ball.radius(images.shape[-1]) * precise(found.gradient).reshape(len(images), -1).norm(order, dim=1)
    least = ROUNDING_ULPS * torch.finfo(images.dtype).eps * found.logits.abs().amax(dim=1)
    return (gain <= least) & (ball.eps > 0)
