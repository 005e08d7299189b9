"""TRADES: a trade-off between accuracy on clean images and the same prediction nearby."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmark.attacks.mode import evaluating
from benchmark.attacks.pgd import PGD, pgd
from benchmark.training.losses.consistency import consistency_loss
from benchmark.training.losses.divergence import divergence
from benchmark.training.regimes import Batch, Regime

BETA = 6.0
START_SIGMA = 0.001


@dataclass(frozen=True, kw_only=True, slots=True)
class NearbyPGD(PGD):
    """PGD with a random start close to the image, as in the paper, rather than anywhere in the ball."""

    def random(self, images: Tensor) -> Tensor:
        """Adds normal noise to images (N, 3, H, W), clamped to [0, 1], from torch's global generator."""
        return (images + START_SIGMA * torch.randn_like(images)).clamp(0.0, 1.0).detach()


# The authors' 8/255 is meant for CIFAR's 32 px. At 224 px a change adds up over 49 times as many pixels, and it would
# hide the faint shades by which lesions differ. So eps is 2/255, as in pgd-linf. Steps of about a quarter of eps are
# the authors'.
ATTACK = NearbyPGD(norm="linf", eps=2 / 255, steps=10, step=0.25, random_start=True)


def trades(model: nn.Module, batch: Batch) -> Tensor:
    """Computes class-weighted cross-entropy on the images plus BETA times the divergence to attacked ones.

    The attack maximizes the same divergence, in evaluation mode, from a target that is computed once. The authors'
    code computes the target in every step.
    """
    with evaluating(model):
        # Detached rather than under no_grad: autocast caches the weights that it casts, and weights cast under no_grad
        # would collect no gradient in the update.
        target = model(batch.images).detach()
    attacked = pgd(model, batch.images, batch.labels, ATTACK, objective=partial(divergence, target))
    loss, _ = consistency_loss(model, batch, attacked, BETA)
    return loss


TRADES = Regime(
    name="trades",
    objective=trades,
    cost=1 + 2 * ATTACK.steps + 6,  # the target, the steps, the update on clean and on attacked images
    adversarial=True,
    description=f"Cross-entropy plus {BETA:g} times the divergence under PGD-{ATTACK.steps}, Linf 2/255.",
    source="Zhang et al., Theoretically principled trade-off between robustness and accuracy, 2019, algorithm 1",
)
