"""Attacks on the Grad-CAM map that preserve the prediction.

To see how the map changes with the prediction, attack with :func:`benchmark.attacks.pgd.pgd` and compute it again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import margin
from benchmark.attacks.mode import evaluating
from benchmark.runtime.precision import precise
from benchmark.saliency import UpsampleFn
from benchmark.saliency.activations import upsample
from benchmark.saliency.grad_cam import grad_cam

# A lead, as a fraction of the largest logit, below which rounding in another batch might change the prediction.
SAFE_LEAD = 1e-4
# A lead in logits below which the penalty starts to protect the prediction.
PENALIZED_LEAD = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class MapAttack(Ball):
    """Settings of an attack on the map.

    Attributes:
        steps: Number of gradient steps. 0 leaves the images unchanged.
        step: Step size as a fraction of eps.
        aim: "away": away from the original map, in proportion to its values. "top-k": away from the fraction of
            pixels where the original map is highest. "target": towards a target map.
        keep_class: Whether the prediction must not change. A penalty then protects it, and iterates that lose it are
            discarded. Otherwise the prediction may change, but the attack does not try to change it.
        fraction: Fraction of the pixels that "top-k" attacks, in (0, 1].
        penalty: Weight of the penalty, in units of the distance between maps per logit.

    References:
        Ghorbani et al., Interpretation of neural networks is fragile, 2019, algorithm 1 (top-k with the prediction
        preserved).
        Dombrowski et al., Explanations can be manipulated and geometry is to blame, 2019 (target).
        Rasaee and Rivaz, Explainable AI and susceptibility to adversarial attacks, 2021 (Grad-CAM of ultrasound).
    """

    steps: int
    step: float
    aim: Literal["away", "target", "top-k"]
    keep_class: bool
    fraction: float = 0.1
    penalty: float = 1.0

    def __post_init__(self) -> None:
        """Reject invalid settings."""
        Ball.__post_init__(self)
        _check_fraction(self.fraction)
        if self.aim not in {"away", "target", "top-k"}:
            raise ValueError(f"{self} is invalid: aim must be away, target or top-k")
        if self.steps < 0 or not self.step > 0 or not self.penalty >= 0:
            raise ValueError(f"{self} is invalid: step must be positive, steps and penalty not negative")


def attack_maps(  # noqa: PLR0913 - the inputs of a map, and the attack
    model: nn.Module,
    layer: str,
    images: Tensor,
    classes: Tensor,
    attack: MapAttack,
    *,
    target: Tensor | None = None,
    upsample_fn: UpsampleFn = upsample,
) -> Tensor:
    """Moves images within the budget and within [0, 1] to change their maps as much as possible.

    The gradient flows through the layer's activations, and through their weights where these depend on the image. With
    a pooled linear head they do not, and in a network of ReLUs they are piecewise constant. The activations alone are
    enough. Maps are compared at the size of the image and at a mean of one. The attack starts at the image and uses no
    random numbers. The model is in evaluation mode during the attack. Parameters accumulate no gradients.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class whose map is attacked, (N,), usually the predicted one.
        attack: Norm, budget, steps and aim.
        target: Maps (N, H, W), not negative, at any scale. Only for the aim "target".
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Attacked images (N, 3, H, W), detached. Each is the valid iterate of highest gain. The image itself is valid. An
        iterate whose map is all zero is not, since such a map has no position. With keep_class, an iterate whose
        prediction differs from the image's is not valid either.

    Raises:
        ValueError: The aim "target" has no target, another aim has one, or the shape of the target is wrong.
    """
    _check_target(attack, images, target)
    images = images.detach()
    # The gradient of a map is a second derivative, which the fused kernels of attention lack.
    with evaluating(model), sdpa_kernel(SDPBackend.MATH):
        gain_fn = _build_gain_fn(attack, grad_cam(model, layer, images, classes, upsample_fn), target)
        with torch.no_grad():
            predicted = model(images).argmax(dim=1)
        explain = partial(_explain, model, layer, classes, upsample_fn=upsample_fn)
        evaluate = partial(_evaluate, explain, attack=attack, gain_fn=gain_fn, predicted=predicted)
        moved = best = images
        highest, _, gradient = evaluate(images)
        for _ in range(attack.steps):
            step = attack.step * attack.radius(images.shape[-1]) * attack.direction(gradient)
            moved = (images + attack.project(moved - images + step)).clamp(0.0, 1.0)
            gains, valid, gradient = evaluate(moved)
            better = valid & (gains > highest)
            highest = torch.where(better, gains, highest)
            best = torch.where(better.reshape(-1, 1, 1, 1), moved, best)
    return best


def top_k_intersection(maps: Tensor, moved: Tensor, fraction: float = 0.1) -> Tensor:
    """Computes the fraction of the highest pixels of a map that are also among the highest of the other map.

    Ties are broken by position: pixels further up, then further left, count as higher. Two unrelated maps overlap by
    about `fraction`.

    Args:
        maps: Maps before the attack, (N, H, W).
        moved: Maps after it, (N, H, W).
        fraction: Fraction of the pixels that count as highest, in (0, 1]. At least one pixel counts.

    Returns:
        (N,), in [0, 1]. 1 where the attack changed nothing.

    Raises:
        ValueError: The shapes differ, or the fraction is out of range.

    Reference:
        Ghorbani et al., Interpretation of neural networks is fragile, 2019.

    Example:
        >>> before, after = torch.tensor([[[3.0, 2.0], [1.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])
        >>> top_k_intersection(before, after, fraction=0.5)
        tensor([0.5000])
    """
    _check_fraction(fraction)
    if maps.shape != moved.shape:
        raise ValueError(f"maps of shape {tuple(maps.shape)} cannot be compared with {tuple(moved.shape)}")
    before = _top_k_mask(maps, fraction)
    return (before & _top_k_mask(moved, fraction)).sum(dim=(1, 2)) / before.sum(dim=(1, 2))


def _top_k_mask(maps: Tensor, fraction: float) -> Tensor:
    """Marks the highest pixels of each map, (N, H, W), bool."""
    flat = maps.reshape(maps.shape[0], -1)
    count = max(1, round(fraction * flat.shape[1]))
    # torch.topk breaks ties arbitrarily. A stable sort orders them by position.
    indices = flat.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, indices, value=True).reshape(maps.shape)


def _evaluate(
    explain: Callable[[Tensor], tuple[Tensor, Tensor]],
    moved: Tensor,
    *,
    attack: MapAttack,
    gain_fn: Callable[[Tensor], Tensor],
    predicted: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns gains of an iterate (N,), whether it is valid (N,), and the ascent direction (N, 3, H, W)."""
    inputs = moved.detach().requires_grad_()
    maps, logits = explain(inputs)
    gains, lead = gain_fn(maps), -margin(logits, predicted)
    valid, objective = maps.detach().sum(dim=(1, 2)) > 0, gains
    if attack.keep_class:
        valid = valid & (lead > SAFE_LEAD * logits.abs().amax(dim=1)).detach()
        objective = gains - attack.penalty * functional.relu(PENALIZED_LEAD - lead)
    (gradient,) = torch.autograd.grad(objective.sum(), inputs)
    return gains.detach(), valid, gradient


def _explain(
    model: nn.Module, layer: str, classes: Tensor, inputs: Tensor, upsample_fn: UpsampleFn = upsample
) -> tuple[Tensor, Tensor]:
    """Computes Grad-CAM maps (N, H, W) and logits, both with their full autograd graph."""
    outputs: list[Tensor] = []

    def capture(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        outputs.append(output)
        # A clone, because the next module may work in place.
        return output.clone()

    handle = model.get_submodule(layer).register_forward_hook(capture)
    try:
        logits = precise(model(inputs))
    finally:
        handle.remove()
    (activations,) = outputs
    target = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(target, activations, create_graph=True)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return upsample_fn(functional.relu((weights * activations).sum(dim=1)), inputs.shape[-2:]), logits


def _build_gain_fn(attack: MapAttack, original: Tensor, target: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Builds the gain to maximize: a function of maps (N, H, W) with a value for each image (N,)."""
    if target is not None:
        scaled_target = _scale_to_mean(target)
        return lambda maps: -(_scale_to_mean(maps) - scaled_target).square().mean(dim=(1, 2))
    # Both gains are linear in the scaled map. A distance would have a zero gradient at the image, where it is 0.
    weights = _scale_to_mean(original) if attack.aim == "away" else _top_k_mask(original, attack.fraction).float()
    initial = _or_one((weights * _scale_to_mean(original)).sum(dim=(1, 2)))
    return lambda maps: -(weights * _scale_to_mean(maps)).sum(dim=(1, 2)) / initial


def _scale_to_mean(maps: Tensor) -> Tensor:
    """Scales maps to a mean of one. Zero maps stay zero."""
    return maps / _or_one(maps.mean(dim=(1, 2), keepdim=True))


def _or_one(values: Tensor) -> Tensor:
    """Returns the values as divisors: 1 where a map is all zero."""
    return torch.where(values > 0, values, 1.0)


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction {fraction} is invalid: it must be more than 0 and at most 1")


def _check_target(attack: MapAttack, images: Tensor, target: Tensor | None) -> None:
    if (target is not None) != (attack.aim == "target"):
        raise ValueError("the aim 'target' needs a target, the others take none")
    expected = (images.shape[0], *images.shape[2:])
    if target is not None and target.shape != expected:
        raise ValueError(f"the target has shape {tuple(target.shape)}; it must be {expected}")
