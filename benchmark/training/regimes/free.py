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
    """Computes class-weighted cross-entropy on images with the perturbation that the previous batch stored.

    The backward pass of the caller then moves the perturbation by a step of eps, within the ball and within [0, 1].
    Without a backward pass it does not change. It has the shape of a batch, (N, 3, H, W). It is zero at first and when
    that shape changes. Its gradient is that of training mode, since there is no other pass.
    """
    images, memory = batch.images.detach(), batch.memory
    delta = memory.get(PERTURBATION)
    if delta is None or delta.shape != images.shape:
        delta = torch.zeros_like(images)
    start = (images + delta).clamp(0.0, 1.0)

    def move(gradient: Tensor) -> None:
        moved = start - images + BALL.radius(images.shape[-1]) * BALL.direction(gradient)
        memory[PERTURBATION] = (images + BALL.project(moved)).clamp(0.0, 1.0) - images

    # A separate tensor: a hook that references its own tensor would be a cycle, and the batch would not be freed.
    inputs = start.detach().requires_grad_()
    inputs.register_hook(move)
    return cross_entropy(model, replace(batch, images=inputs))


FREE = Regime(
    name="free",
    objective=free,
    cost=3,  # per replay: the backward pass of the weights also yields the gradient of the image
    adversarial=True,
    description=f"Each batch {REPLAYS} times in turn, perturbation carried over, step of eps, Linf 2/255.",
    source="Shafahi et al., Adversarial training for free!, 2019, algorithm 1",
    batch_replays=REPLAYS,
)
