"""Training on noisy images: the cheap control of adversarial training."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.standard import cross_entropy

# The smaller of the two usual deviations, .25 and .5: at .5, a third of even the mid-gray values leave [0, 1].
SIGMA = 0.25


def noisy_cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    """Computes class-weighted cross-entropy on images with normal noise, clamped to [0, 1]."""
    noisy = (batch.images + SIGMA * torch.randn_like(batch.images)).clamp(0.0, 1.0)
    return cross_entropy(model, replace(batch, images=noisy))


GAUSSIAN_NOISE = Regime(
    name="gaussian-noise",
    objective=noisy_cross_entropy,
    cost=3,  # that of a standard step: noise needs no gradient
    adversarial=False,
    description=f"Cross-entropy on images with normal noise of standard deviation {SIGMA:g}.",
    source="Kaur et al., Are perceptually-aligned gradients a general property of robust classifiers?, 2019",
)
