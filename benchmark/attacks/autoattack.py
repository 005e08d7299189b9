"""AutoAttack, if the authors' package is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.attacks.apgd import APGD, apgd
from benchmark.attacks.ball import Ball
from benchmark.attacks.mode import evaluating

STANDARD = ["apgd-ce", "apgd-t", "fab-t", "square"]
MAX_TARGETS = 9
"""Maximum number of target classes of a targeted attack, as in the standard version."""
STEPS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoAttack(Ball):
    """Norm and budget. The package decides the rest."""


def autoattack(
    model: nn.Module, images: Tensor, labels: Tensor, norm: Literal["l2", "linf"], eps: float
) -> tuple[Tensor, str]:
    """Runs AutoAttack, or a reduced version for few classes.

    The targeted attacks of the package need ten classes, its DLR loss needs three. With fewer, the package raises an
    error halfway. So with four to nine classes all other classes are targets. With three, the untargeted DLR attack
    replaces the targeted one. With two, our Auto-PGD on the margin replaces it.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        norm: "l2" or "linf".
        eps: Budget, as in :class:`benchmark.attacks.ball.Ball`.

    Returns:
        Attacked images (N, 3, H, W), where robust images are unchanged, and the name of the attack to report with the
        result. The name is "AutoAttack standard" with ten classes or more, else the list of attacks.

    Raises:
        ValueError: The package is not installed, or the model has fewer than two classes.

    Reference:
        Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
        attacks, 2020.
    """
    package = _package()
    ball = Ball(norm, eps)
    # The package flattens images by `view`, which fails for channels_last.
    images = images.detach().contiguous()
    devices = [images.device] if images.is_cuda else []
    # It also seeds torch's global generators, so their state is restored.
    with evaluating(model), _frozen(model), torch.random.fork_rng(devices):
        with torch.no_grad():
            classes = model(images).shape[1]
        attacks = _attacks(classes)
        ensemble = package.AutoAttack(
            model,
            norm={"l2": "L2", "linf": "Linf"}[norm],
            eps=ball.radius(images.shape[-1]),
            seed=0,
            verbose=False,
            # The package rejects a list of attacks for its standard version.
            attacks_to_run=[] if attacks == STANDARD else attacks,
            version="standard" if attacks == STANDARD else "custom",
            device=images.device,
        )
        ensemble.apgd.n_restarts = 1
        ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = min(MAX_TARGETS, classes - 1)
        moved: Tensor = ensemble.run_standard_evaluation(images, labels, bs=len(images))
        if classes == 2:
            moved = _with_margin(model, images, moved, labels, ball)
    return moved.detach(), _name(classes, attacks)


def recipe(classes: int) -> str:
    """Returns the name of the attack for a number of classes, to report with the result.

    Raises:
        ValueError: The package is not installed, or there are fewer than two classes.
    """
    _package()
    return _name(classes, _attacks(classes))


def _package() -> ModuleType:
    try:
        return import_module("autoattack")
    except ModuleNotFoundError:
        raise ValueError(
            "autoattack is not installed; install it from https://github.com/fra31/auto-attack, or leave it out"
        ) from None


def _attacks(classes: int) -> list[str]:
    """Returns the attacks of the package for a number of classes."""
    if classes < 2:
        raise ValueError(f"an attack needs 2 classes or more, the model has {classes}; give it an output per class")
    if classes == 2:
        return ["apgd-ce", "fab-t", "square"]
    return ["apgd-ce", "apgd-dlr", "fab-t", "square"] if classes == 3 else STANDARD


def _name(classes: int, attacks: list[str]) -> str:
    if classes > MAX_TARGETS:
        return "AutoAttack standard"
    return ", ".join([*attacks, "apgd-margin"] if classes == 2 else attacks) + f" ({classes} classes)"


def _with_margin(model: nn.Module, images: Tensor, moved: Tensor, labels: Tensor, ball: Ball) -> Tensor:
    """Replaces attacked images that are still right by those of our Auto-PGD where these are wrong."""
    ours = apgd(model, images, labels, APGD(norm=ball.norm, eps=ball.eps, steps=STEPS, loss="margin"))
    with torch.no_grad():
        flipped = (model(moved).argmax(dim=1) == labels) & (model(ours).argmax(dim=1) != labels)
    return torch.where(flipped.reshape(-1, 1, 1, 1), ours, moved)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Disables gradients of parameters during the block. Otherwise FAB of the package accumulates into them."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad = True
