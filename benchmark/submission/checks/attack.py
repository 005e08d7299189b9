"""Attacks on an entry's network: they must work, and must not depend on the scale of its logits."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import LOSSES, Loss
from benchmark.attacks.slope import slope
from benchmark.attacks.vanishing import vanishes
from benchmark.submission.checks.guard import EntryReport, guard_call, make_images
from benchmark.submission.checks.outputs import MIN_SIZE

SCALE = 1e4
"""Factor on the logits. Decisions stay the same, so attacks must find the same changes."""
BALL = Ball("l2", 0.5)
ATTACK_LOSSES: tuple[Loss, ...] = ("ce", "margin")
MIN_COSINE = 0.9
"""Minimum cosine of the directions of the attacks on both networks. Rounding costs a few percent."""


class ScaledLogits(nn.Module):
    """A network whose logits are multiplied by a factor."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images: Tensor) -> Any:
        """Returns the scaled logits."""
        return self.factor * self.network(images)


def check_attack(report: EntryReport, network: nn.Module) -> None:
    """Warns if the gradients that attacks follow vanish, or change with the scale of the logits.

    Such a network looks robust in the tables and is not. Adds the fraction of images without gradients to the facts.
    """
    images = make_images(2, MIN_SIZE, MIN_SIZE)
    with guard_call(report, "an attack"):
        labels = network(images).argmax(dim=1)
        vanished = torch.stack([vanishes(network, images, labels, BALL, loss) for loss in ATTACK_LOSSES]).all(dim=0)
        report.facts["vanishing gradients"] = float(vanished.float().mean())
        if bool(vanished.any()):
            report.warnings.append(
                "the gradients of its losses vanish, so attacks fail and the accuracy under attack proves nothing; "
                "is a saturated or rounded layer in it?"
            )
            return
        cosines = [_compare_directions(network, images, labels, factor) for factor in (1 / SCALE, SCALE)]
        # A cosine that is no number fails too.
        if not all(cosine >= MIN_COSINE for cosine in cosines):
            report.warnings.append(
                f"attacks change when its logits are multiplied by {SCALE:g} or divided by it; scale them so that they "
                "are about 1 to 100, or the accuracy under attack proves nothing"
            )


def _compare_directions(network: nn.Module, images: Tensor, labels: Tensor, factor: float) -> float:
    """Returns the smallest cosine of the first steps of the margin attack on a network and on its scaled copy."""
    first, second = (
        BALL.direction(slope(model, images, lambda logits: LOSSES["margin"](logits, labels)).gradient).flatten(1)
        for model in (network, ScaledLogits(network, factor))
    )
    return float((first * second).sum(dim=1).min())
