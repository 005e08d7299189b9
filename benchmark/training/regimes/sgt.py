"""Saliency guided training: what the gradient calls unimportant may be replaced at will."""

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
        share: Share of the pixels that are replaced, in [0, 1].
        ranking: What is averaged over the channels to rank the pixels. "signed": the gradient, so that the pixels
            that speak most against the label go first. "absolute": its size.
        weight: Weight of the divergence.
    """

    share: float
    ranking: Literal["signed", "absolute"]
    weight: float

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        if not 0 <= self.share <= 1 or self.ranking not in {"signed", "absolute"} or not self.weight >= 0:
            raise ValueError(f"{self} makes no sense: share in [0, 1], ranking signed or absolute, weight not negative")


# As in the authors' code and the example of its description.
SETTINGS = SGT(share=0.5, ranking="signed", weight=1.0)


def sgt_objective(settings: SGT) -> Callable[[nn.Module, Batch], Tensor]:
    """Cross-entropy, weighted by class, plus the divergence to images without their least salient pixels."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        loss, _ = consistency_loss(model, batch, replace_lowest(model, batch, settings), settings.weight)
        return loss

    return objective


def replace_lowest(model: nn.Module, batch: Batch, settings: SGT) -> Tensor:
    """Images (N, 3, H, W) whose pixels of lowest gradient are uniform noise between the image's least and largest."""
    images = batch.images
    _, gradient = label_gradient(model, images, batch.labels)
    ranked = gradient if settings.ranking == "signed" else gradient.abs()
    mask = lowest(ranked.mean(dim=1), settings.share)
    low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    noise = low + (high - low) * torch.rand_like(images)
    return torch.where(mask[:, None], noise, images)


SGT_REGIME = Regime(
    name="sgt",
    objective=sgt_objective(SETTINGS),
    cost=2 + 6,  # the gradient of the image, and the update on the image and on the changed one
    adversarial=False,
    description=f"Cross-entropy plus the divergence when the {SETTINGS.share:.0%} of least gradient turn to noise.",
    source="Ismail et al., Improving deep learning interpretability by saliency guided training, 2021, section 3",
)
