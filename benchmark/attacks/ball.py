"""How far an image may be moved."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmark.attacks.slope import scale_to_unit_max

NATIVE_SIDE = 224


@dataclass(frozen=True, slots=True)
class Ball:
    """The changes of an image that are within a budget; the base of every attack's settings.

    Attributes:
        norm: "l2" (over all pixels and channels of an image) or "linf".
        eps: Budget for values in [0, 1]. In L2 it holds for images of 224 px and is scaled with the side, so
            that the change per pixel stays the same.
    """

    norm: Literal["l2", "linf"]
    eps: float

    def __post_init__(self) -> None:
        """Refuse an unknown norm and budgets that make no sense."""
        if self.norm not in {"l2", "linf"} or not 0 <= self.eps < math.inf:
            raise ValueError(f"{self} makes no sense: norm must be l2 or linf, eps finite and not negative")

    def radius(self, side: int) -> float:
        """Budget for images of this side in pixels."""
        return self.eps * side / NATIVE_SIDE if self.norm == "l2" else self.eps

    def direction(self, gradient: Tensor) -> Tensor:
        """The change of size one that gains most, for each image of (N, 3, H, W); zero where the gradient is.

        The gradient is divided by its largest element before its length is taken: the squares of 1e-25 would vanish,
        those of 1e25 be infinite. Nothing is added to the length, so that no gradient is too small for a whole step.
        """
        if self.norm == "linf":
            return gradient.sign()
        scaled = scale_to_unit_max(gradient)
        return scaled / _length(scaled).clamp(min=1.0)  # its largest element is one, or all are zero

    def project(self, delta: Tensor) -> Tensor:
        """The nearest change within the budget, for each image of (N, 3, H, W)."""
        radius = self.radius(delta.shape[-1])
        if self.norm == "linf":
            return delta.clamp(-radius, radius)
        length = _length(delta)
        return torch.where(length > radius, delta * (radius / length), delta)

    def random(self, images: Tensor) -> Tensor:
        """The images (N, 3, H, W), moved anywhere within the budget and within [0, 1]; torch's global generator."""
        radius = self.radius(images.shape[-1])
        if self.norm == "linf":
            delta = torch.empty_like(images).uniform_(-radius, radius)
        else:
            fraction = torch.rand(images.shape[0], 1, 1, 1, device=images.device)
            delta = radius * fraction * self.direction(torch.randn_like(images))
        return (images + delta).clamp(0.0, 1.0).detach()


def _length(batch: Tensor) -> Tensor:
    """L2 norm of each image, shaped to be divided by; reshape, since channels_last batches have no flat view."""
    return batch.reshape(batch.shape[0], -1).norm(dim=1).reshape(-1, 1, 1, 1)
