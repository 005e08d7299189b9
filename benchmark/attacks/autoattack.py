"""AutoAttack, for whoever has the authors' package installed."""

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
TARGETS = 9
STEPS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoAttack(Ball):
    """The norm and the budget; the rest is the package's."""


def autoattack(
    model: nn.Module, images: Tensor, labels: Tensor, norm: Literal["l2", "linf"], eps: float
) -> tuple[Tensor, str]:
    """Images attacked by AutoAttack, or by what is left of it for few classes.

    Its targeted attacks want ten classes, its DLR loss three, and where these are missing the package stops with an
    error halfway. So with four to nine classes all others are targets; with three the untargeted DLR takes the place
    of the targeted; with two our Auto-PGD on the margin does.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: True classes, (N,).
        norm: "l2" or "linf".
        eps: Budget, as in :class:`benchmark.attacks.ball.Ball`.

    Returns:
        Attacked images (N, 3, H, W), those that withstood as they were; and the name of what was done, to be reported
        with the result: "AutoAttack standard" with ten classes or more, else the list of attacks.

    Raises:
        ValueError: The package is not installed, or the model has fewer than two classes.

    Reference:
        Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
        attacks, 2020.
    """
    package = _package()
    ball = Ball(norm, eps)
    # The package flattens by views, which channels_last images do not have.
    images = images.detach().contiguous()
    devices = [images.device] if images.is_cuda else []
    # It also seeds torch's global generators.
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
            # The standard is named by its version, and then refuses a list.
            attacks_to_run=[] if attacks == STANDARD else attacks,
            version="standard" if attacks == STANDARD else "custom",
            device=images.device,
        )
        ensemble.apgd.n_restarts = 1
        ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = min(TARGETS, classes - 1)
        moved: Tensor = ensemble.run_standard_evaluation(images, labels, bs=len(images))
        if classes == 2:
            moved = _with_margin(model, images, moved, labels, ball)
    return moved.detach(), _name(classes, attacks)


def recipe(classes: int) -> str:
    """What is run for so many classes, to be reported with the result.

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
            "autoattack is not installed: install it from its authors' repository, or measure with apgd instead"
        ) from None


def _attacks(classes: int) -> list[str]:
    """What is run by the package for so many classes."""
    if classes < 2:
        raise ValueError(f"an attack needs 2 classes or more, the model has {classes}; give it an output per class")
    if classes == 2:
        return ["apgd-ce", "fab-t", "square"]
    return ["apgd-ce", "apgd-dlr", "fab-t", "square"] if classes == 3 else STANDARD


def _name(classes: int, attacks: list[str]) -> str:
    if classes > TARGETS:
        return "AutoAttack standard"
    return ", ".join([*attacks, "apgd-margin"] if classes == 2 else attacks) + f" ({classes} classes)"


def _with_margin(model: nn.Module, images: Tensor, moved: Tensor, labels: Tensor, ball: Ball) -> Tensor:
    """The attacked images; those that withstood, but not our Auto-PGD, as that leaves them."""
    ours = apgd(model, images, labels, APGD(norm=ball.norm, eps=ball.eps, steps=STEPS, loss="margin"))
    with torch.no_grad():
        turned = (model(moved).argmax(dim=1) == labels) & (model(ours).argmax(dim=1) != labels)
    return torch.where(turned.reshape(-1, 1, 1, 1), ours, moved)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No parameter collects gradients during the block; the package's FAB would else add to them."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad = True
