"""Saliency guided training: the prediction should not depend on pixels of low gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.training.losses.consistency import consistency_loss
from benchmark.training.losses.saliency_mask import label_gradient, lowest
from benchmark.training.regimes import Batch, Regime


@dataclass(frozen=True, kw_only=True, slots=True)
class SGT:
    """Settings of saliency guided training.

    Attributes:
        fraction: Fraction of the pixels that are replaced, in [0, 1].
        ranking: Ranks the pixels by the mean over the channels of the gradient ("signed") or of its absolute value
            ("absolute"). With "signed", pixels with the most evidence against the label come first.
        weight: Weight of the divergence.
    """

    fraction: float
    ranking: Literal["signed", "absolute"]
    weight: float

    def __post_init__(self) -> None:
        """Rejects invalid settings."""
        if not 0 <= self.fraction <= 1 or self.ranking not in {"signed", "absolute"} or not self.weight >= 0:
            raise ValueError(f"{self} is invalid: fraction in [0, 1], ranking signed or absolute, weight not negative")


# As in the authors' code and the example of its description.
SETTINGS = SGT(fraction=0.5, ranking="signed", weight=1.0)


def sgt_objective(settings: SGT) -> Callable[[nn.Module, Batch], Tensor]:
    """Builds class-weighted cross-entropy plus the divergence to images without their least salient pixels."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        loss, _ = consistency_loss(model, batch, replace_lowest(model, batch, settings), settings.weight)
        return loss

    return objective


def replace_lowest(model: nn.Module, batch: Batch, settings: SGT) -> Tensor:
    """Replaces the pixels of lowest gradient by uniform noise between the image's minimum and maximum, (N, 3, H, W)."""
    images = batch.images
    _, gradient = label_gradient(model, images, batch.labels)
    ranked = gradient if settings.ranking == "signed" else gradient.abs()
    mask = lowest(ranked.mean(dim=1), settings.fraction)
    low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    noise = low + (high - low) * torch.rand_like(images)
    return torch.where(mask[:, None], noise, images)


SGT_REGIME = Regime(
    name="sgt",
    objective=sgt_objective(SETTINGS),
    cost=2 + 6,  # the gradient of the image, and the update on the original and the changed image
    adversarial=False,
    description=f"Cross-entropy plus the divergence when the {SETTINGS.fraction:.0%} of least gradient turn to noise.",
    source="Ismail et al., Improving deep learning interpretability by saliency guided training, 2021, section 3",
)
