"""Auto-PGD: gradient ascent that finds its own step sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import LOSSES, Loss
from benchmark.attacks.mode import evaluating
from benchmark.attacks.slope import slope

INERTIA = 0.25
RISING = 0.75


@dataclass(frozen=True, kw_only=True, slots=True)
class APGD(Ball):
    """Settings of Auto-PGD.

    Attributes:
        steps: Number of gradient steps; 0 leaves the images as they are.
        loss: What is raised. "ce": the cross-entropy. "margin": how far the best other class leads the true one.
            "dlr": the margin as a share of the distance between the first and the third logit, so that the scale of
            the logits does not matter; with three classes the third is the last, with two there is none.

    Reference:
        Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
        attacks, 2020, algorithm 1.
    """

    steps: int
    loss: Loss

    def __post_init__(self) -> None:
        """Refuse budgets, step counts and losses that make no sense."""
        Ball.__post_init__(self)
        if self.steps < 0 or self.loss not in LOSSES:
            raise ValueError(f"{self} makes no sense: steps may not be negative, loss must be one of {set(LOSSES)}")


def apgd(model: nn.Module, images: Tensor, labels: Tensor, attack: APGD) -> Tensor:
    """Images moved, within the budget and within [0, 1], to where the model errs, or else errs most.

    It starts at the image itself and draws no random numbers, so the result depends neither on a seed nor on what else
    is in the batch. Steps begin at twice the budget. At each checkpoint the step of an image is halved, and the image
    set back to where its loss was highest, if the loss rose in fewer than three quarters of the steps since the last
    checkpoint, or if neither its step was halved there nor its highest loss has grown since. The authors' code differs
    from their paper in rounding the checkpoints and in halving at exactly three quarters; this is the paper.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        attack: Norm, budget, steps and loss.

    Returns:
        Attacked images (N, 3, H, W), detached: of all iterates the one of highest loss, wrong ones first.

    Raises:
        ValueError: The loss is "dlr" and the model has fewer than three classes.
    """
    images = images.detach()
    look = partial(_evaluate, model, labels=labels, loss_fn=LOSSES[attack.loss])
    spans = _spans(attack.steps)
    with evaluating(model):
        point = before = highest = found = look(images)
        step_sizes = _StepSizes(2 * attack.radius(images.shape[-1]), point.losses)
        for number in range(1, attack.steps + 1):
            aim = _within(
                attack, images, point.images + step_sizes.size.to(images.dtype) * attack.direction(point.gradient)
            )
            # The first step has none before it to lean on.
            inertia = INERTIA if number > 1 else 0.0
            step = (1 - inertia) * (aim - point.images) + inertia * (point.images - before.images)
            before, point = point, look(_within(attack, images, point.images + step))
            step_sizes.count(point.losses > before.losses)
            highest = _choose(point.losses > highest.losses, point, highest)
            found = _choose(_is_better(point, found), point, found)
            if number in spans:
                point = _choose(step_sizes.check(highest.losses, spans[number]), highest, point)
    return found.images


@dataclass(frozen=True, slots=True)
class _Point:
    """An iterate, and what the model makes of it: pixels, slope of the loss, loss, whether the prediction is wrong."""

    images: Tensor
    gradient: Tensor
    losses: Tensor
    wrong: Tensor


class _StepSizes:
    """How far each image moves in a step."""

    def __init__(self, size: float, losses: Tensor) -> None:
        self.size = torch.full_like(losses, size).reshape(-1, 1, 1, 1)
        self._rises = torch.zeros_like(losses)
        self._halved = torch.zeros_like(losses, dtype=torch.bool)
        self._highest = losses

    def count(self, rose: Tensor) -> None:
        """Notes whose loss rose, (N,)."""
        self._rises = self._rises + rose

    def check(self, highest: Tensor, span: int) -> Tensor:
        """Halves the steps of images that get no further, given their highest losses; returns which, (N,)."""
        stuck = ~self._halved & (highest <= self._highest)
        self._halved = stuck | (self._rises < RISING * span)
        self._highest = highest
        self._rises = torch.zeros_like(self._rises)
        self.size = torch.where(self._halved.reshape(-1, 1, 1, 1), self.size / 2, self.size)
        return self._halved


def _spans(steps: int) -> dict[int, int]:
    """Steps since the checkpoint before, for each checkpoint.

    Checkpoints come after 22, 41, 57, ... hundredths of the steps, each gap .03 shorter than the last, down to .06;
    counted in whole hundredths, because .22 + .19 of 100 steps must not be rounded up to 42.
    """
    spans, last, fraction, gap = {}, 0, 22, 22
    while fraction < 100:
        step = -(-fraction * steps // 100)
        # In a short attack two checkpoints may fall on the same step.
        if step > last:
            spans[step], last = step - last, step
        gap = max(gap - 3, 6)
        fraction += gap
    return spans


def _evaluate(model: nn.Module, images: Tensor, labels: Tensor, loss_fn: Callable[[Tensor, Tensor], Tensor]) -> _Point:
    found = slope(model, images, lambda logits: loss_fn(logits, labels))
    return _Point(images.detach(), found.gradient, found.losses, found.logits.argmax(dim=1) != labels)


def _within(ball: Ball, images: Tensor, moved: Tensor) -> Tensor:
    return (images + ball.project(moved - images)).clamp(0.0, 1.0)


def _is_better(point: _Point, found: _Point) -> Tensor:
    """Whether an iterate errs and the one found so far does not, or both alike and its loss is higher, (N,)."""
    return (point.wrong & ~found.wrong) | ((point.wrong == found.wrong) & (point.losses > found.losses))


def _choose(chosen: Tensor, first: _Point, second: _Point) -> _Point:
    """For each image the first iterate where chosen, else the second."""
    pixels = chosen.reshape(-1, 1, 1, 1)
    return _Point(
        images=torch.where(pixels, first.images, second.images),
        gradient=torch.where(pixels, first.gradient, second.gradient),
        losses=torch.where(chosen, first.losses, second.losses),
        wrong=torch.where(chosen, first.wrong, second.wrong),
    )
