"""Free adversarial training: one backward pass moves the weights and the perturbation."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from benchmark.attacks.ball import Ball
from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.standard import cross_entropy

BALL = Ball(norm="linf", eps=2 / 255)
REPLAYS = 8
PERTURBATION = "perturbation"


def free(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy, weighted by class, on images with the perturbation that the batch before left in the memory.

    The backward pass of the caller then moves the perturbation by a step of eps, within the ball and within [0, 1];
    without one it stays. It has the shape of a batch, (N, 3, H, W), and is zero at first and when that shape changes.
    Its gradient is that of training mode, for there is no other pass.
    """
    images, memory = batch.images.detach(), batch.memory
    delta = memory.get(PERTURBATION)
    if delta is None or delta.shape != images.shape:
        delta = torch.zeros_like(images)
    start = (images + delta).clamp(0.0, 1.0)

    def move(gradient: Tensor) -> None:
        moved = start - images + BALL.radius(images.shape[-1]) * BALL.direction(gradient)
        memory[PERTURBATION] = (images + BALL.project(moved)).clamp(0.0, 1.0) - images

    # A tensor of its own: a hook that held the tensor it hangs on would keep the batch alive in a circle.
    inputs = start.detach().requires_grad_()
    inputs.register_hook(move)
    return cross_entropy(model, replace(batch, images=inputs))


FREE = Regime(
    name="free",
    objective=free,
    cost=3,  # of each replay; the gradient of the image comes with the backward pass that the weights need anyway
    adversarial=True,
    description=f"Each batch {REPLAYS} times in turn, perturbation carried over, step of eps, Linf 2/255.",
    source="Shafahi et al., Adversarial training for free!, 2019, algorithm 1",
    batch_replays=REPLAYS,
)
