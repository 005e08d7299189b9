"""Adversarial training that penalizes a norm of the gradient map: sparse, elastic or sparse in groups.

A step that maximizes the linearized loss within a budget raises it by a norm of its gradient. The budget decides which
norm: Linf gives the L1 norm, L2 balls of patches give the sum of the norms of the patches. Training on the moved images
therefore favors gradients of that structure.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.attacks.losses import cross_entropy as image_losses
from benchmark.attacks.mode import evaluating
from benchmark.attacks.slope import Slope, slope
from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.standard import cross_entropy

PATCHES = 16
"""Number of patches along a side. The authors' patches have 14 px at 224 px."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NormRegularized:
    """Settings of the one step.

    Attributes:
        norm: "l1", "elastic" or "group": the norm of the gradient that the step penalizes.
        eps: Change of each pixel along the sign of the gradient. With "group" it is the root mean square change of the
            pixels of a patch, in each channel.
        eps2: Weight of the squared gradient, for "elastic". The step adds twice this times the gradient of the image's
            own loss.
    """

    norm: Literal["l1", "elastic", "group"]
    eps: float
    eps2: float = 0.0

    def __post_init__(self) -> None:
        """Rejects invalid settings."""
        if self.norm not in {"l1", "elastic", "group"} or not (0 <= self.eps <= 1 and 0 <= self.eps2 < math.inf):
            raise ValueError(f"{self} is invalid: norm must be l1, elastic or group, eps in [0, 1], eps2 not negative")


def norm_regularized_objective(settings: NormRegularized) -> Callable[[nn.Module, Batch], Tensor]:
    """Builds the class-weighted cross-entropy on moved images."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        return cross_entropy(model, replace(batch, images=moved(model, batch, settings)))

    return objective


def moved(model: nn.Module, batch: Batch, settings: NormRegularized) -> Tensor:
    """Moves images one step, clamped to [0, 1].

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C). It runs in evaluation mode.
        batch: Images and labels.
        settings: Norm and budget.

    Returns:
        Moved images (N, 3, H, W), detached. Where the gradient is zero, nothing moves.
    """
    images = batch.images.detach()
    with evaluating(model):
        result = slope(model, images, partial(image_losses, labels=batch.labels))
    if settings.norm == "group":
        step = settings.eps * unit_patches(result.gradient)
    else:
        step = settings.eps * result.gradient.sign()
    if settings.norm == "elastic":
        step = step + 2 * settings.eps2 * result.gradient * _scale(result, batch.labels)
    return (images + step).clamp(0.0, 1.0)


def unit_patches(gradient: Tensor) -> Tensor:
    """Divides each patch of each channel by its root mean square.

    A side has 16 patches. Where it is no multiple of 16, their sides differ by one pixel.

    Args:
        gradient: (N, C, H, W).

    Returns:
        (N, C, H, W). Every patch has a root mean square of 1. Zero patches stay zero.

    Example:
        >>> unit_patches(torch.full((1, 1, 32, 32), -3.0)).unique()
        tensor([-1.])
    """
    rows, columns = (_membership(side, gradient) for side in gradient.shape[-2:])
    # The square of a gradient below 1e-19 underflows, so the largest element of each image becomes 1 first.
    scaled = gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
    pixels = rows.sum(dim=1)[:, None] * columns.sum(dim=1)
    mean_square = (rows @ scaled.square() @ columns.T) / pixels.clamp(min=1)
    root = (rows.T @ mean_square @ columns).sqrt()
    return scaled / torch.where(root > 0, root, 1.0)


def _membership(side: int, like: Tensor) -> Tensor:
    """Returns which pixels of a side belong to each patch, (16, side), 0 or 1."""
    patch = torch.arange(side, device=like.device) * PATCHES // side
    return (patch == torch.arange(PATCHES, device=like.device)[:, None]).to(like.dtype)


def _scale(result: Slope, labels: Tensor) -> Tensor:
    """Returns the positive factor that `slope` took out of the gradient of each image, (N, 1, 1, 1)."""
    probabilities = result.logits.softmax(dim=1)
    others = 1 - probabilities.gather(1, labels[:, None])
    # The gradient at the logits is the prediction less the label. Its largest element is that of the label.
    return others.to(result.gradient.dtype)[:, :, None, None]


def _entry(norm: Literal["l1", "elastic", "group"], description: str, *, eps2: float = 0.0) -> Regime:
    return Regime(
        name=f"norm-{norm}",
        objective=norm_regularized_objective(NormRegularized(norm=norm, eps=EPS, eps2=eps2)),
        cost=2 + 3,  # the gradient of the image, and the update on the moved image
        adversarial=True,
        description=description,
        source="Gong et al., Structured gradient-based interpretations via norm-regularized adversarial training, "
        "2024, arXiv 2404.04647",
    )


# The defaults of the authors' code. Its group step has an L2 norm of eps in each patch of a channel, whatever the size.
# That changes a pixel by a fourteenth of what the L1 step does. Here the root mean squares of both are equal, so that
# the regimes compare. The authors attack in
# training mode and without a clamp to [0, 1]. Here neither holds.
EPS = 0.01
EPS2 = 0.05
NORM_L1 = _entry("l1", f"One step of {EPS:g} along the sign of the gradient, which penalizes its L1 norm.")
NORM_ELASTIC = _entry(
    "elastic", f"As norm-l1, plus {2 * EPS2:g} times the gradient, which penalizes its squared norm too.", eps2=EPS2
)
NORM_GROUP = _entry(
    "group",
    f"One step of root mean square {EPS:g} in each of {PATCHES} x {PATCHES} patches, for maps sparse in patches.",
)
