"""Gradients of a loss that do not underflow, at any scale of the logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.runtime.precision import precise


@dataclass(frozen=True, slots=True)
class Slope:
    """Outputs and loss gradients of a model for N images.

    Attributes:
        logits: (N, C), float64 where the device supports it.
        losses: Losses as `loss_fn` returns them.
        gradient: Gradient of the losses with respect to the images, (N, 3, H, W), up to a positive factor. Zero where
            the gradient is zero.
    """

    logits: Tensor
    losses: Tensor
    gradient: Tensor


def slope(model: nn.Module, images: Tensor, loss_fn: Callable[[Tensor], Tensor], *, by_batch: bool = False) -> Slope:
    """Computes logits, losses and the gradient of their sum with respect to each image, up to a positive factor.

    Losses are computed in float64. The gradient at the logits is divided by its largest element before it goes back
    through the network in float32, where a gradient of 1e-50 would underflow. Attacks need its direction only.

    Args:
        model: Takes (N, 3, H, W), returns logits (N, C).
        images: (N, 3, H, W).
        loss_fn: Takes logits (N, C), float64, returns the loss of each image (N,) or of the batch.
        by_batch: Whether all images have the same factor. BatchNorm in training mode requires it, since a gradient is
            then a sum over losses of several images. Otherwise each image has its own factor.
    """
    inputs = images.detach().requires_grad_()
    logits = model(inputs)
    wide = precise(logits.detach()).requires_grad_()
    losses = loss_fn(wide)
    (at_logits,) = torch.autograd.grad(losses.sum(), wide)
    at_logits = scale_to_unit_max(at_logits, by_batch=by_batch).to(logits.dtype)
    (gradient,) = torch.autograd.grad(logits, inputs, at_logits)
    return Slope(wide.detach(), losses.detach(), gradient)


def scale_to_unit_max(values: Tensor, *, by_batch: bool = False) -> Tensor:
    """Divides each row of (N, ...), or the whole tensor, by its largest absolute element. Zero stays zero.

    Example:
        >>> scale_to_unit_max(torch.tensor([[1e-30, -2e-30], [0.0, 0.0]])).tolist()
        [[0.5, -1.0], [0.0, 0.0]]
    """
    largest = values.abs().amax(dim=tuple(range(0 if by_batch else 1, values.dim())), keepdim=True)
    return values / torch.where(largest > 0, largest, 1.0)
