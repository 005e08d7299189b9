"""Detects vanishing gradients, which make an attack ineffective."""

import torch
from torch import Tensor, nn

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import LOSSES, Loss
from benchmark.attacks.mode import evaluating
from benchmark.attacks.slope import slope
from benchmark.runtime.precision import precise
from metrics.rounding import ROUNDING_ULPS


def vanishes(model: nn.Module, images: Tensor, labels: Tensor, ball: Ball, loss: Loss) -> Tensor:
    """Returns whether the gradient of a loss at each image is zero or negligible.

    Negligible means: a step of the whole budget in a linearized network changes the logits by at most their rounding
    error. The gradient at the logits is scaled to a largest element of one. So neither the scale of the logits nor a
    small probability makes it vanish. A copy of the network with logits ten thousand times as large gives the same.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C). It is in evaluation mode during the call.
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        ball: Norm and budget.
        loss: The loss that the attack maximizes.

    Returns:
        (N,), bool. False where the budget is zero.
    """
    with evaluating(model):
        result = slope(model, images, lambda logits: LOSSES[loss](logits, labels))
    # The dual norm is the maximum gain of a unit change. In float64, where squares do not underflow.
    dual = 2 if ball.norm == "l2" else 1
    gain = ball.radius(images.shape[-1]) * precise(result.gradient).reshape(len(images), -1).norm(dual, dim=1)
    tolerance = ROUNDING_ULPS * torch.finfo(images.dtype).eps * result.logits.abs().amax(dim=1)
    return (gain <= tolerance) & (ball.eps > 0)
