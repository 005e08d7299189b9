"""Which way a loss rises, at any scale of the logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.runtime.precision import precise


@dataclass(frozen=True, slots=True)
class Slope:
    """What a model makes of N images.

    Attributes:
        logits: (N, C), float64 where the device has it.
        losses: What the images lose, as the objective gives it.
        gradient: Its gradient with respect to the images, (N, 3, H, W), up to a positive factor; zero where it is zero.
    """

    logits: Tensor
    losses: Tensor
    gradient: Tensor


def slope(model: nn.Module, images: Tensor, loss_fn: Callable[[Tensor], Tensor], *, by_batch: bool = False) -> Slope:
    """Logits, losses and the gradient of their sum with respect to each image, up to a positive factor.

    Losses are taken in float64. What comes back from them to the logits is divided by its largest element before it
    goes through the network in float32, where a gradient of 1e-50 would be zero. Directions need no length.

    Args:
        model: Takes (N, 3, H, W), gives logits (N, C).
        images: (N, 3, H, W).
        losses_of: Takes logits (N, C), float64, gives the loss of each image (N,) or of the batch.
        by_batch: Whether images share one factor. They must where BatchNorm mixes them, since a gradient is then a sum
            over losses. Else each has its own.
    """
    inputs = images.detach().requires_grad_()
    logits = model(inputs)
    wide = precise(logits.detach()).requires_grad_()
    losses = loss_fn(wide)
    (back,) = torch.autograd.grad(losses.sum(), wide)
    back = scale_to_unit_max(back, by_batch=by_batch).to(logits.dtype)
    (gradient,) = torch.autograd.grad(logits, inputs, back)
    return Slope(wide.detach(), losses.detach(), gradient)


def scale_to_unit_max(values: Tensor, *, by_batch: bool = False) -> Tensor:
    """Each row of (N, ...), or the whole of it, divided by its largest absolute element; zero stays zero.

    Example:
        >>> of_size_one(torch.tensor([[1e-30, -2e-30], [0.0, 0.0]])).tolist()
        [[0.5, -1.0], [0.0, 0.0]]
    """
    largest = values.abs().amax(dim=tuple(range(0 if by_batch else 1, values.dim())), keepdim=True)
    return values / torch.where(largest > 0, largest, 1.0)
