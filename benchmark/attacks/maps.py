"""Attacks on the Grad-CAM map that leave the diagnosis as it is.

To change the diagnosis and see what becomes of the map, attack with :func:`benchmark.attacks.pgd.pgd` and draw.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import margin
from benchmark.attacks.mode import evaluating
from benchmark.runtime.precision import precise
from benchmark.saliency import UpsampleFn
from benchmark.saliency.activations import upsample
from benchmark.saliency.grad_cam import grad_cam

# A lead, as a share of the largest logit, below which rounding in another batch might turn the prediction.
SAFE_LEAD = 1e-4
# A lead in logits below which the attack begins to defend the prediction.
WORRYING_LEAD = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class MapAttack(Ball):
    """Settings of an attack on the map.

    Attributes:
        steps: Number of gradient steps; 0 leaves the images as they are.
        step: Size of a step as a share of eps.
        aim: "away": off the places where the original map lies, in proportion to its values. "top-k": off the
            share of pixels where the original map is highest. "target": towards a given map.
        keep_class: Whether the prediction must stay what it was; it is then defended by a penalty, and iterates that
            lose it do not count. Otherwise it may change, but is not made to.
        share: Share of the pixels that "top-k" empties, in (0, 1].
        penalty: Weight of the defense, in units of the distance between maps per logit.

    References:
        Ghorbani et al., Interpretation of neural networks is fragile, 2019, algorithm 1 (top-k, and that the
        prediction stays); Dombrowski et al., Explanations can be manipulated and geometry is to blame, 2019 (target);
        Rasaee and Rivaz, Explainable AI and susceptibility to adversarial attacks, 2021 (Grad-CAM of ultrasound).
    """

    steps: int
    step: float
    aim: Literal["away", "target", "top-k"]
    keep_class: bool
    fraction: float = 0.1
    penalty: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        Ball.__post_init__(self)
        _check_fraction(self.fraction)
        if self.aim not in {"away", "target", "top-k"}:
            raise ValueError(f"{self} makes no sense: aim must be away, target or top-k")
        if self.steps < 0 or not self.step > 0 or not self.penalty >= 0:
            raise ValueError(f"{self} makes no sense: step must be positive, steps and penalty not negative")


def attack_maps(  # noqa: PLR0913 - what maps are made of, and the attack
    model: nn.Module,
    layer: str,
    images: Tensor,
    classes: Tensor,
    attack: MapAttack,
    *,
    target: Tensor | None = None,
    upsample_fn: UpsampleFn = upsample,
) -> Tensor:
    """Images moved, within the budget and within [0, 1], to where the map is most unlike what it was.

    The gradient runs through the map: through the layer's activations, and through their weights where these depend on
    the image. With a pooled linear head they do not, and in a network of ReLUs they do so in jumps only, but the
    activations alone are path enough. Maps are compared at the size of the image and at a mean of one. It starts at the
    image and draws no random numbers. The model is in evaluation mode for the time of the attack; parameters collect no
    gradients.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class whose map is attacked, (N,); mostly the predicted one.
        attack: Norm, budget, steps and aim.
        target: Maps (N, H, W), not negative, at any scale; for the aim "target" only.
        enlarge: Places maps of the grid on the image; by itself it stretches them.

    Returns:
        Attacked images (N, 3, H, W), detached: of all iterates that count, the one whose map is furthest on. The image
        itself counts; an iterate whose map has vanished does not, for it has no place; nor does, with keep_class, one
        whose prediction is another than the image's.

    Raises:
        ValueError: There is no target for the aim "target", or one for another aim, or one of another shape.
    """
    _check_target(attack, images, target)
    images = images.detach()
    with evaluating(model):
        gain_fn = _build_gain_fn(attack, grad_cam(model, layer, images, classes, upsample_fn), target)
        with torch.no_grad():
            kept = model(images).argmax(dim=1)
        draw = partial(_draw, model, layer, classes, upsample_fn=upsample_fn)
        look = partial(_evaluate, draw, attack=attack, gain_fn=gain_fn, kept=kept)
        moved = best = images
        highest, _, gradient = look(images)
        for _ in range(attack.steps):
            step = attack.step * attack.radius(images.shape[-1]) * attack.direction(gradient)
            moved = (images + attack.project(moved - images + step)).clamp(0.0, 1.0)
            gains, counts, gradient = look(moved)
            better = counts & (gains > highest)
            highest = torch.where(better, gains, highest)
            best = torch.where(better.reshape(-1, 1, 1, 1), moved, best)
    return best


def top_k_intersection(maps: Tensor, moved: Tensor, fraction: float = 0.1) -> Tensor:
    """Share of the highest pixels of a map that are still among the highest of the other.

    Of pixels of the same value those further up, then further left, count as higher. Two maps that have nothing to do
    with each other share about as much as is asked for.

    Args:
        maps: Maps before the attack, (N, H, W).
        moved: Maps after it, (N, H, W).
        share: Share of the pixels that count as highest, in (0, 1]; at least one pixel.

    Returns:
        (N,), in [0, 1]; 1 where the attack changed nothing.

    Raises:
        ValueError: The shapes differ, or the share is out of its range.

    Reference:
        Ghorbani et al., Interpretation of neural networks is fragile, 2019.

    Example:
        >>> before, after = torch.tensor([[[3.0, 2.0], [1.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])
        >>> top_k_intersection(before, after, share=0.5)
        tensor([0.5000])
    """
    _check_fraction(fraction)
    if maps.shape != moved.shape:
        raise ValueError(f"maps of shape {tuple(maps.shape)} cannot be compared with {tuple(moved.shape)}")
    before = _highest(maps, fraction)
    return (before & _highest(moved, fraction)).sum(dim=(1, 2)) / before.sum(dim=(1, 2))


def _highest(maps: Tensor, fraction: float) -> Tensor:
    """Where each map is highest, (N, H, W), bool."""
    flat = maps.reshape(maps.shape[0], -1)
    count = max(1, round(fraction * flat.shape[1]))
    # torch.topk breaks ties as it likes; a stable sort keeps them in order.
    places = flat.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, places, value=True).reshape(maps.shape)


def _evaluate(
    draw: Callable[[Tensor], tuple[Tensor, Tensor]],
    moved: Tensor,
    *,
    attack: MapAttack,
    gain_fn: Callable[[Tensor], Tensor],
    kept: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gains of an iterate (N,), whether it counts (N,), and where to go from it (N, 3, H, W)."""
    inputs = moved.detach().requires_grad_()
    maps, logits = draw(inputs)
    gains, lead = gain_fn(maps), -margin(logits, kept)
    counts, wanted = maps.detach().sum(dim=(1, 2)) > 0, gains
    if attack.keep_class:
        counts = counts & (lead > SAFE_LEAD * logits.abs().amax(dim=1)).detach()
        wanted = gains - attack.penalty * functional.relu(WORRYING_LEAD - lead)
    (gradient,) = torch.autograd.grad(wanted.sum(), inputs)
    return gains.detach(), counts, gradient


def _draw(
    model: nn.Module, layer: str, classes: Tensor, inputs: Tensor, upsample_fn: UpsampleFn = upsample
) -> tuple[Tensor, Tensor]:
    """Grad-CAM maps (N, H, W) and logits, both with their whole graph."""
    caught: list[Tensor] = []

    def catch(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        caught.append(output)
        # A clone, because the next module may work in place.
        return output.clone()

    handle = model.get_submodule(layer).register_forward_hook(catch)
    try:
        logits = precise(model(inputs))
    finally:
        handle.remove()
    (activations,) = caught
    target = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(target, activations, create_graph=True)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return upsample_fn(functional.relu((weights * activations).sum(dim=1)), inputs.shape[-2:]), logits


def _build_gain_fn(attack: MapAttack, original: Tensor, target: Tensor | None) -> Callable[[Tensor], Tensor]:
    """What is raised: a function of maps (N, H, W) with a value for each image (N,)."""
    if target is not None:
        aim = _scaled(target)
        return lambda maps: -(_scaled(maps) - aim).square().mean(dim=(1, 2))
    # Both are linear in the scaled map: a distance proper would have no slope at the image, where it is zero.
    places = _scaled(original) if attack.aim == "away" else _highest(original, attack.fraction).float()
    at_first = _or_one((places * _scaled(original)).sum(dim=(1, 2)))
    return lambda maps: -(places * _scaled(maps)).sum(dim=(1, 2)) / at_first


def _scaled(maps: Tensor) -> Tensor:
    """Maps at a mean of one; zero where they are zero."""
    return maps / _or_one(maps.mean(dim=(1, 2), keepdim=True))


def _or_one(values: Tensor) -> Tensor:
    """The values as divisors: one where a map has vanished."""
    return torch.where(values > 0, values, 1.0)


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise ValueError(f"a share of {share} makes no sense: it must be more than 0 and at most 1")


def _check_target(attack: MapAttack, images: Tensor, target: Tensor | None) -> None:
    if (target is not None) != (attack.aim == "target"):
        raise ValueError("the aim 'target' needs a target, the others take none")
    wanted = (images.shape[0], *images.shape[2:])
    if target is not None and target.shape != wanted:
        raise ValueError(f"the target has shape {tuple(target.shape)}; it must be {wanted}")
