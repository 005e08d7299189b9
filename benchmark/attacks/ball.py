"""Budgets: how far an attack may move an image."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmark.attacks.slope import scale_to_unit_max

REFERENCE_SIZE = 224
"""Side in pixels of the images that an L2 budget refers to."""


@dataclass(frozen=True, slots=True)
class Ball:
    """The changes of an image within a budget. Base class of the settings of all attacks.

    Attributes:
        norm: "l2" (over all pixels and channels of an image) or "linf".
        eps: Budget for values in [0, 1]. In L2 it is that of images of 224 px and scales with the side, so that
            the change per pixel is the same at all sizes.
    """

    norm: Literal["l2", "linf"]
    eps: float

    def __post_init__(self) -> None:
        """Reject unknown norms and invalid budgets."""
        if self.norm not in {"l2", "linf"} or not 0 <= self.eps < math.inf:
            raise ValueError(f"{self} is invalid: norm must be l2 or linf, eps finite and not negative")

    def radius(self, image_size: int) -> float:
        """Returns the budget for images of this side in pixels."""
        return self.eps * image_size / REFERENCE_SIZE if self.norm == "l2" else self.eps

    def direction(self, gradient: Tensor) -> Tensor:
        """Computes the unit change that increases the loss most, (N, 3, H, W). Zero gradients stay zero.

        The gradient is divided by its largest element before its norm is computed. Otherwise the squares of 1e-25 would
        underflow and those of 1e25 overflow. No constant is added to the norm, so even tiny gradients give full steps.
        """
        if self.norm == "linf":
            return gradient.sign()
        scaled = scale_to_unit_max(gradient)
        return scaled / _l2_norm(scaled).clamp(min=1.0)  # the largest element is 1, or all are 0

    def project(self, delta: Tensor) -> Tensor:
        """Projects changes (N, 3, H, W) onto the budget, image by image."""
        radius = self.radius(delta.shape[-1])
        if self.norm == "linf":
            return delta.clamp(-radius, radius)
        norm = _l2_norm(delta)
        return torch.where(norm > radius, delta * (radius / norm), delta)

    def random(self, images: Tensor) -> Tensor:
        """Moves images (N, 3, H, W) at random within the budget and within [0, 1], by torch's global generator."""
        radius = self.radius(images.shape[-1])
        if self.norm == "linf":
            delta = torch.empty_like(images).uniform_(-radius, radius)
        else:
            fraction = torch.rand(images.shape[0], 1, 1, 1, device=images.device)
            delta = radius * fraction * self.direction(torch.randn_like(images))
        return (images + delta).clamp(0.0, 1.0).detach()


def _l2_norm(batch: Tensor) -> Tensor:
    """Computes the L2 norm of each image, (N, 1, 1, 1). Reshapes, since channels_last batches have no flat view."""
    return batch.reshape(batch.shape[0], -1).norm(dim=1).reshape(-1, 1, 1, 1)
