"""Adversarial training that attacks the least salient pixels, after SCAAT, with three ablations.

Only the abstract of SCAAT (Xu et al., 2023) is available to us, and no code. Everything below except the idea,
adversarial images guided by the saliency map, is our own reconstruction. The ablations attack the salient pixels
instead, the same number of random ones, or all of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.attacks.mode import evaluating
from benchmark.attacks.slope import slope
from benchmark.training.losses.consistency import consistency_loss
from benchmark.training.losses.divergence import divergence
from benchmark.training.losses.saliency_mask import label_gradient, lowest
from benchmark.training.regimes import Batch, Regime

BUDGETS = "budgets"


@dataclass(frozen=True, kw_only=True, slots=True)
class SCAAT:
    """Settings of saliency constrained attacks in training.

    Attributes:
        constraint: Which pixels may change: those of "lowest" saliency (mean over the channels of the absolute gradient
            of the label's logit), those of "highest", or the same number at "random".
        k: Fraction of the pixels that may change, in (0, 1]. At 1 all may, whatever the constraint.
        steps: Gradient steps on the divergence, from a random start.
        step: Step size as a fraction of the image's own budget.
        eps: Initial budget of every image in Linf.
        bounds: Minimum and maximum budget.
        adapt: Factor, 1 or more. An image's budget is multiplied by it if the label survived the attack, and divided
            by it otherwise. 1 leaves the budgets constant.
        lam: Weight of the divergence in the loss.
    """

    constraint: Literal["lowest", "highest", "random"]
    k: float
    steps: int
    step: float
    eps: float
    bounds: tuple[float, float]
    adapt: float
    lam: float

    def __post_init__(self) -> None:
        """Rejects invalid settings."""
        if self.constraint not in {"lowest", "highest", "random"} or not 0 < self.k <= 1:
            raise ValueError(f"{self} is invalid: constraint must be lowest, highest or random, k in (0, 1]")
        if self.steps < 1 or not 0 < self.step < math.inf or not 0 < self.bounds[0] <= self.eps <= self.bounds[1] <= 1:
            raise ValueError(f"{self} is invalid: steps must be positive, and 0 < minimum <= eps <= maximum <= 1")
        if not 1 <= self.adapt < math.inf or not 0 <= self.lam < math.inf:
            raise ValueError(f"{self} is invalid: adapt must be 1 or more, lam not negative, both finite")

    @property
    def guided(self) -> bool:
        """Whether the attack depends on the saliency."""
        return self.constraint != "random" and self.k < 1


def scaat_objective(settings: SCAAT) -> Callable[[nn.Module, Batch], Tensor]:
    """Builds class-weighted cross-entropy plus lam times the divergence to images attacked under the constraint.

    The memory stores the budget of each training image, float32, (num_images,). The update's own pass over the attacked
    images decides whether a label survived, at no extra cost. Its BatchNorm uses the batch statistics.
    """

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        budgets = batch.memory.get(BUDGETS)
        if budgets is None:
            budgets = torch.full((batch.num_images,), settings.eps, device=batch.images.device)
        eps = budgets.gather(0, batch.indices)
        loss, logits = consistency_loss(model, batch, attacked(model, batch, eps, settings), settings.lam)
        survived = logits.argmax(dim=1) == batch.labels
        adapted = torch.where(survived, eps * settings.adapt, eps / settings.adapt).clamp(*settings.bounds)
        batch.memory[BUDGETS] = budgets.scatter(0, batch.indices, adapted)
        return loss

    return objective


def attacked(model: nn.Module, batch: Batch, eps: Tensor, settings: SCAAT) -> Tensor:
    """Changes images within the constraint and [0, 1] to maximize the divergence of the prediction.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C). The attack runs it in evaluation mode.
        batch: Images and labels. The saliency is the gradient of the label's logit.
        eps: Budget of each image in Linf, (N,).
        settings: Constraint and steps.

    Returns:
        Attacked images (N, 3, H, W), detached.
    """
    images, budget = batch.images.detach(), eps.reshape(-1, 1, 1, 1)
    target, mask = _target_and_mask(model, batch, settings)
    limit = budget * mask[:, None]
    moved = (images + limit * (2 * torch.rand_like(images) - 1)).clamp(0.0, 1.0)
    with evaluating(model):
        for _ in range(settings.steps):
            gradient = slope(model, moved, partial(divergence, target)).gradient
            delta = moved - images + settings.step * budget * gradient.sign()
            moved = (images + delta.clamp(-limit, limit)).clamp(0.0, 1.0)
    return moved


def _target_and_mask(model: nn.Module, batch: Batch, settings: SCAAT) -> tuple[Tensor, Tensor]:
    """Computes logits (N, C) in evaluation mode, and which pixels may change, (N, H, W), bool."""
    images = batch.images
    if settings.guided:
        logits, gradient = label_gradient(model, images, batch.labels)
        saliency = gradient.abs().mean(dim=1)
        if settings.constraint == "lowest":
            return logits, lowest(saliency, settings.k)
        return logits, ~lowest(saliency, 1 - settings.k)
    with evaluating(model):
        # Detached rather than under no_grad because of autocast, see trades.py.
        logits = model(images).detach()
    return logits, lowest(torch.rand_like(images[:, 0]), settings.k)


def _entry(name: str, title: str, where: str, settings: SCAAT) -> Regime:
    """Builds an entry whose texts all say that it is a reconstruction."""
    return Regime(
        name=name,
        objective=scaat_objective(settings),
        # The saliency with the target or the target alone, the steps, and the update on clean and attacked images.
        cost=(2 if settings.guided else 1) + 2 * settings.steps + 6,
        adversarial=True,
        description=(
            f"Own reconstruction: cross-entropy plus the divergence when {where} are attacked, PGD-{settings.steps}, "
            f"Linf {255 * settings.bounds[0]:g}/255 to {255 * settings.bounds[1]:g}/255 by image."
        ),
        source="own reconstruction after Xu et al., SCAAT, 2023, arXiv 2311.05143, of which only the abstract is known",
        title=title,
    )


# Our own numbers. Budgets start at that of pgd-linf for comparison, and are at most twice as large. The step of
# 1.25 eps is that of fgsm-rs. SCAAT differs from fgsm-rs by the constraint and the divergence.
SETTINGS = SCAAT(
    constraint="lowest",
    k=0.5,
    steps=1,
    step=1.25,
    eps=2 / 255,
    bounds=(0.5 / 255, 4 / 255),
    adapt=1.1,
    lam=1.0,
)
INVERTED = replace(SETTINGS, constraint="highest")
RANDOM = replace(SETTINGS, constraint="random")
WHOLE = replace(SETTINGS, k=1.0)

SCAAT_LIKE = _entry("scaat", "SCAAT-like (own reconstruction)", "the 50% least salient pixels", SETTINGS)
SCAAT_INVERTED = _entry(
    "scaat-inverted", "SCAAT-like, salient pixels (own reconstruction)", "the 50% most salient pixels", INVERTED
)
SCAAT_RANDOM = _entry("scaat-random", "SCAAT-like, random pixels (own reconstruction)", "50% random pixels", RANDOM)
SCAAT_WHOLE = _entry("scaat-whole", "SCAAT-like, whole image (own reconstruction)", "all pixels", WHOLE)
