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
        steps: Number of gradient steps. 0 leaves the images unchanged.
        step: Step size as a fraction of eps.
        random_start: Whether to start at a random point of the ball instead of the image. Without it an attack does
            not depend on the rest of the batch.
        batch_statistics: Whether BatchNorm normalizes by the batch during the attack. Its running averages do not
            change. In a short training the averages are inaccurate, and an attack that uses them is weak against the
            network in training.
        keep_best: Whether to return the iterate of highest loss of each image instead of the last. It costs one more
            forward pass.
        loss: The loss to maximize: "ce", the cross-entropy, or another one of :class:`benchmark.attacks.apgd.APGD`.

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
        """Reject invalid budgets, step counts and losses."""
        Ball.__post_init__(self)
        if self.steps < 0 or not self.step > 0 or self.loss not in LOSSES:
            raise ValueError(
                f"{self} is invalid: steps may not be negative, step must be positive, loss one of {set(LOSSES)}"
            )


def fgsm(norm: Literal["l2", "linf"], eps: float) -> PGD:
    """Returns the fast gradient sign method: one step of the whole budget from the image.

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
    """Maximizes the loss of the model within the budget and within [0, 1].

    The model is in evaluation mode during the attack, except for BatchNorm with `batch_statistics`. So no statistics
    change and dropout is off. Parameters accumulate no gradients.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        attack: Norm, budget, steps and loss.
        objective: Replaces the attack's loss. Takes logits (N, C), float64. Returns the loss of each image (N,), or of
            the batch where keep_best is off. It needs a random start if its gradient vanishes at the image, as
            that of the divergence from the image's own prediction does.

    Returns:
        Attacked images (N, 3, H, W), detached.

    Raises:
        ValueError: keep_best is on and the objective does not return one loss per image.
    """
    radius = attack.radius(images.shape[-1])
    loss_fn = objective or (lambda logits: LOSSES[attack.loss](logits, labels))
    with evaluating(model), normalizing_by_batch(model, enabled=attack.batch_statistics):
        moved = attack.random(images) if attack.random_start else images.detach().clone()
        best, highest = moved, torch.full(images.shape[:1], -torch.inf, device=images.device)
        for _ in range(attack.steps):
            result = slope(model, moved, loss_fn, by_batch=attack.batch_statistics)
            if attack.keep_best:
                best, highest = _select_better(best, highest, moved, result.losses)
            delta = moved - images + attack.step * radius * attack.direction(result.gradient)
            moved = (images + attack.project(delta)).clamp(0.0, 1.0).detach()
        if attack.keep_best:
            with torch.no_grad():
                losses = loss_fn(precise(model(moved)))
            moved, _ = _select_better(best, highest, moved, losses)
    return moved


def _select_better(best: Tensor, highest: Tensor, moved: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """Selects the iterate of higher loss for each image, and that loss. The earlier one wins ties."""
    if losses.shape != highest.shape:
        raise ValueError(f"keep_best needs one loss per image, {tuple(highest.shape)}, not {tuple(losses.shape)}")
    higher = losses > highest
    return torch.where(higher.reshape(-1, 1, 1, 1), moved, best), torch.where(higher, losses, highest)
