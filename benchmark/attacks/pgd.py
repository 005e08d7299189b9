"""Projected gradient ascent on the loss of the prediction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import LOSSES, Loss
from benchmark.attacks.mode import evaluating, normalizing_by_batch
from benchmark.attacks.slope import slope
from benchmark.runtime.precision import precise


@dataclass(frozen=True, kw_only=True, slots=True)
class PGD(Ball):
    """Settings of projected gradient ascent.

    Attributes:
        steps: Number of gradient steps; 0 leaves the images as they are.
        step: Size of a step as a share of eps.
        random_start: Whether to start anywhere in the ball rather than at the image. Without it an attack is
            the same whatever else is in the batch.
        batch_statistics: Whether BatchNorm normalizes by the batch during the attack (its running averages stay
            untouched). In a short training the averages are still far from the truth, and an attack that relies
            on them hardly hurts the network that is being trained.
        keep_best: Whether to return, for each image, the iterate of highest loss rather than the last, at the
            price of one more forward pass.
        loss: What is raised: "ce", the cross-entropy, or one of the others of :class:`benchmark.attacks.apgd.APGD`.

    Reference:
        Madry et al., Towards deep learning models resistant to adversarial attacks, 2018, section 2.1.
    """

    steps: int
    step: float
    random_start: bool
    batch_statistics: bool = False
    keep_best: bool = False
    loss: Loss = "ce"

    def __post_init__(self) -> None:
        """Refuse budgets and step counts that make no sense."""
        Ball.__post_init__(self)
        if self.steps < 0 or not self.step > 0 or self.loss not in LOSSES:
            raise ValueError(
                f"{self} makes no sense: steps may not be negative, step must be positive, loss one of {set(LOSSES)}"
            )


def fgsm(norm: Literal["l2", "linf"], eps: float) -> PGD:
    """The fast gradient sign method: a single step of the whole budget, from the image itself.

    Reference:
        Goodfellow et al., Explaining and harnessing adversarial examples, 2015, section 4.
    """
    return PGD(norm=norm, eps=eps, steps=1, step=1.0, random_start=False)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: PGD,
    *,
    objective: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Images moved, within the budget and within [0, 1], to where the model errs most.

    The model is put into evaluation mode for the time of the attack (BatchNorm on request excepted), so that no
    statistics move and dropout takes no part; parameters collect no gradients.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        attack: Norm, budget, steps and loss.
        objective: What to raise instead of the attack's loss: takes the logits (N, C), float64, gives the loss of
            each image (N,), or of the batch where keep_best is off. One whose gradient vanishes at the image itself,
            as that of the divergence from its own prediction does, needs a random start.

    Returns:
        Attacked images (N, 3, H, W), detached.

    Raises:
        ValueError: keep_best is on and the objective does not give one loss per image.
    """
    radius = attack.radius(images.shape[-1])
    loss_fn = objective or (lambda logits: LOSSES[attack.loss](logits, labels))
    with evaluating(model), normalizing_by_batch(model, wanted=attack.batch_statistics):
        moved = attack.random(images) if attack.random_start else images.detach().clone()
        best, highest = moved, torch.full(images.shape[:1], -torch.inf, device=images.device)
        for _ in range(attack.steps):
            here = slope(model, moved, loss_fn, by_batch=attack.batch_statistics)
            if attack.keep_best:
                best, highest = _better(best, highest, moved, here.losses)
            delta = moved - images + attack.step * radius * attack.direction(here.gradient)
            moved = (images + attack.project(delta)).clamp(0.0, 1.0).detach()
        if attack.keep_best:
            with torch.no_grad():
                losses = loss_fn(precise(model(moved)))
            moved, _ = _better(best, highest, moved, losses)
    return moved


def _better(best: Tensor, highest: Tensor, moved: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """For each image the iterate of higher loss, and that loss; of equals the earlier."""
    if losses.shape != highest.shape:
        raise ValueError(f"keep_best needs a loss of each image, {tuple(highest.shape)}, not {tuple(losses.shape)}")
    higher = losses > highest
    return torch.where(higher.reshape(-1, 1, 1, 1), moved, best), torch.where(higher, losses, highest)
