"""Auto-PGD: gradient ascent that adapts its own step sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import LOSSES, Loss
from benchmark.attacks.mode import evaluating
from benchmark.attacks.slope import slope

MOMENTUM = 0.25
"""Weight of the previous change in a step, 1 - alpha in the paper."""
MIN_RISE_FRACTION = 0.75
"""Minimum fraction of steps on which the loss must rise, rho in the paper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class APGD(Ball):
    """Settings of Auto-PGD.

    Attributes:
        steps: Number of gradient steps. 0 leaves the images unchanged.
        loss: The loss to maximize. "ce": the cross-entropy. "margin": the lead of the best other class over the true
            one. "dlr": the margin as a fraction of the distance between the first and the third logit, so that the
            scale of the logits does not matter. It needs three classes.

    Reference:
        Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
        attacks, 2020, algorithm 1.
    """

    steps: int
    loss: Loss

    def __post_init__(self) -> None:
        """Reject invalid budgets, step counts and losses."""
        Ball.__post_init__(self)
        if self.steps < 0 or self.loss not in LOSSES:
            raise ValueError(f"{self} is invalid: steps may not be negative, loss must be one of {set(LOSSES)}")


def apgd(model: nn.Module, images: Tensor, labels: Tensor, attack: APGD) -> Tensor:
    """Maximizes the loss within the budget and within [0, 1]. Prefers iterates that the model gets wrong.

    The attack starts at the image and uses no random numbers. So the result depends neither on a seed nor on the rest
    of the batch. Steps start at twice the budget. A checkpoint halves the step size of an image, and restarts from its
    best iterate, under either of two conditions. The first: the loss rose in fewer than three quarters of the steps
    since the last checkpoint. The second: the last checkpoint did not halve, and the highest loss has not risen since.
    The authors' code differs from their paper in how it rounds checkpoints and in that it halves at exactly three
    quarters. This function follows the paper.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        attack: Norm, budget, steps and loss.

    Returns:
        Attacked images (N, 3, H, W), detached. Each is the iterate of highest loss among the misclassified ones, or
        among all where none is misclassified.

    Raises:
        ValueError: The loss is "dlr" and the model has fewer than three classes.
    """
    images = images.detach()
    evaluate = partial(_evaluate, model, labels=labels, loss_fn=LOSSES[attack.loss])
    spans = _checkpoint_spans(attack.steps)
    with evaluating(model):
        point = previous = highest = best = evaluate(images)
        step_sizes = _StepSizes(2 * attack.radius(images.shape[-1]), point.losses)
        for step in range(1, attack.steps + 1):
            target = _project(
                attack, images, point.images + step_sizes.size.to(images.dtype) * attack.direction(point.gradient)
            )
            # The first step has no previous change.
            momentum = MOMENTUM if step > 1 else 0.0
            change = (1 - momentum) * (target - point.images) + momentum * (point.images - previous.images)
            previous, point = point, evaluate(_project(attack, images, point.images + change))
            step_sizes.count(point.losses > previous.losses)
            highest = _choose(point.losses > highest.losses, point, highest)
            best = _choose(_is_better(point, best), point, best)
            if step in spans:
                point = _choose(step_sizes.check(highest.losses, spans[step]), highest, point)
    return best.images


@dataclass(frozen=True, slots=True)
class _Point:
    """An iterate: its pixels, the gradient of the loss, the loss, and whether the prediction is wrong."""

    images: Tensor
    gradient: Tensor
    losses: Tensor
    wrong: Tensor


class _StepSizes:
    """Step size of each image."""

    def __init__(self, size: float, losses: Tensor) -> None:
        self.size = torch.full_like(losses, size).reshape(-1, 1, 1, 1)
        self._rises = torch.zeros_like(losses)
        self._halved = torch.zeros_like(losses, dtype=torch.bool)
        self._highest = losses

    def count(self, rose: Tensor) -> None:
        """Counts the images whose loss rose, (N,)."""
        self._rises = self._rises + rose

    def check(self, highest: Tensor, span: int) -> Tensor:
        """Halves the step size of images that make no progress, given their highest losses. Returns which, (N,)."""
        stuck = ~self._halved & (highest <= self._highest)
        self._halved = stuck | (self._rises < MIN_RISE_FRACTION * span)
        self._highest = highest
        self._rises = torch.zeros_like(self._rises)
        self.size = torch.where(self._halved.reshape(-1, 1, 1, 1), self.size / 2, self.size)
        return self._halved


def _checkpoint_spans(steps: int) -> dict[int, int]:
    """Computes the number of steps since the previous checkpoint, for each checkpoint.

    Checkpoints come after 22, 41, 57, ... percent of the steps. Each gap is 3 shorter than the last, down to 6. Percent
    are integers, because in floating point .22 + .19 of 100 steps would round up to 42.
    """
    spans, last, percent, gap = {}, 0, 22, 22
    while percent < 100:
        step = -(-percent * steps // 100)
        # In a short attack two checkpoints may fall on the same step.
        if step > last:
            spans[step], last = step - last, step
        gap = max(gap - 3, 6)
        percent += gap
    return spans


def _evaluate(model: nn.Module, images: Tensor, labels: Tensor, loss_fn: Callable[[Tensor, Tensor], Tensor]) -> _Point:
    result = slope(model, images, lambda logits: loss_fn(logits, labels))
    return _Point(images.detach(), result.gradient, result.losses, result.logits.argmax(dim=1) != labels)


def _project(ball: Ball, images: Tensor, moved: Tensor) -> Tensor:
    return (images + ball.project(moved - images)).clamp(0.0, 1.0)


def _is_better(point: _Point, best: _Point) -> Tensor:
    """Returns whether `point` is misclassified and `best` is not, or both agree and its loss is higher, (N,)."""
    return (point.wrong & ~best.wrong) | ((point.wrong == best.wrong) & (point.losses > best.losses))


def _choose(chosen: Tensor, first: _Point, second: _Point) -> _Point:
    """Selects the first iterate for each image where `chosen` is true, else the second."""
    pixels = chosen.reshape(-1, 1, 1, 1)
    return _Point(
        images=torch.where(pixels, first.images, second.images),
        gradient=torch.where(pixels, first.gradient, second.gradient),
        losses=torch.where(chosen, first.losses, second.losses),
        wrong=torch.where(chosen, first.wrong, second.wrong),
    )
