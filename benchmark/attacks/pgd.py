"""Attacks on the prediction, with gradients of the input only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

NATIVE_SIDE = 224
TINY = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class PGD:
    """Projected gradient ascent on the cross-entropy.

    Attributes:
        norm: "l2" (over all pixels and channels of an image) or "linf".
        eps: Budget for values in [0, 1]. In L2 it holds for images of 224 px and is scaled with the side, so
            that the change per pixel stays the same.
        steps: Number of gradient steps; 0 leaves the images as they are.
        step: Size of a step as a share of eps.
        random_start: Whether to start anywhere in the ball rather than at the image. Without it an attack is
            the same whatever else is in the batch.
        batch_statistics: Whether BatchNorm normalises by the batch during the attack (its running averages stay
            untouched). In a short training the averages are still far from the truth, and an attack that relies
            on them hardly hurts the network that is being trained.

    Reference:
        Madry et al., Towards deep learning models resistant to adversarial attacks, 2018, section 2.1.
    """

    norm: Literal["l2", "linf"]
    eps: float
    steps: int
    step: float
    random_start: bool
    batch_statistics: bool = False

    def __post_init__(self) -> None:
        """Refuse budgets and step counts that make no sense."""
        if self.eps < 0 or self.steps < 0 or self.step <= 0:
            raise ValueError(f"{self} makes no sense: eps and steps may not be negative, step must be positive")

    def radius(self, side: int) -> float:
        """Budget for images of this side in pixels."""
        return self.eps * side / NATIVE_SIDE if self.norm == "l2" else self.eps


def pgd(model: nn.Module, images: Tensor, labels: Tensor, attack: PGD) -> Tensor:
    """Images moved, within the budget and within [0, 1], to where the model errs most.

    The model is put into evaluation mode for the time of the attack (BatchNorm on request excepted), so that no
    statistics move and dropout takes no part; parameters collect no gradients.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        attack: Norm, budget and steps.

    Returns:
        Attacked images (N, 3, H, W), detached.
    """
    radius = attack.radius(images.shape[-1])
    with evaluating(model), _normalising_by_batch(model, wanted=attack.batch_statistics):
        moved = _start(images, attack, radius)
        for _ in range(attack.steps):
            moved.requires_grad_()
            loss = functional.cross_entropy(model(moved).float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, moved)
            delta = moved.detach() - images + attack.step * radius * _direction(gradient, attack.norm)
            moved = (images + _project(delta, attack.norm, radius)).clamp(0.0, 1.0)
    return moved.detach()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the time of the block; every module gets back the mode that it had."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _normalising_by_batch(model: nn.Module, *, wanted: bool) -> Iterator[None]:
    """BatchNorm uses the statistics of the batch, and keeps nothing of them, for the time of the block."""
    layers = [m for m in model.modules() if wanted and isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer in layers:
            layer.training, layer.track_running_stats = False, True


def _start(images: Tensor, attack: PGD, radius: float) -> Tensor:
    if not attack.random_start:
        return images.detach().clone()
    if attack.norm == "linf":
        delta = torch.empty_like(images).uniform_(-radius, radius)
    else:
        share = torch.rand(images.shape[0], 1, 1, 1, device=images.device)
        delta = radius * share * _direction(torch.randn_like(images), "l2")
    return (images + delta).clamp(0.0, 1.0).detach()


def _direction(gradient: Tensor, norm: str) -> Tensor:
    """The step of size one that gains most."""
    return gradient.sign() if norm == "linf" else gradient / (_length(gradient) + TINY)


def _project(delta: Tensor, norm: str, radius: float) -> Tensor:
    if norm == "linf":
        return delta.clamp(-radius, radius)
    return delta * (radius / (_length(delta) + TINY)).clamp(max=1.0)


def _length(batch: Tensor) -> Tensor:
    """L2 norm of each image, shaped to be divided by; reshape, since channels_last batches have no flat view."""
    return batch.reshape(batch.shape[0], -1).norm(dim=1).reshape(-1, 1, 1, 1)
