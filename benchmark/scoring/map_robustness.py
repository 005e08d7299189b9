"""Robustness of the Grad-CAM map to invisible changes of the image."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attacks.maps import MapAttack, attack_maps, top_k_intersection
from benchmark.attacks.pgd import PGD, pgd
from benchmark.runtime.tensors import map_batches, to_float
from benchmark.saliency import UpsampleFn
from benchmark.saliency.activations import upsample
from benchmark.saliency.grad_cam import grad_cam

BUDGETS = (2 / 255, 4 / 255)
"""Linf budgets of invisible changes."""


def build_map_attacks(steps: int) -> dict[str, MapAttack | PGD]:
    """Builds the attacks on maps, by name.

    Three aims preserve the prediction. At both budgets, "top-k" moves the map off its highest pixels. At the larger
    budget, "away" moves it off the whole original map, and "turned" towards that map rotated by 180 degrees. An attack
    on the prediction alone, "class", shows how the map changes with it.
    """
    top_k = {f"top-k-{steps}-{_name(eps)}": _preserving("top-k", eps, steps) for eps in BUDGETS}
    eps = BUDGETS[-1]
    return {
        **top_k,
        f"away-{steps}-{_name(eps)}": _preserving("away", eps, steps),
        f"turned-{steps}-{_name(eps)}": _preserving("target", eps, steps),
        f"class-{steps}-{_name(eps)}": PGD(norm="linf", eps=eps, steps=steps, step=0.25, random_start=False),
    }


def _name(eps: float) -> str:
    return f"linf-{eps * 255:g}/255"


def _preserving(aim: Literal["away", "target", "top-k"], eps: float, steps: int) -> MapAttack:
    return MapAttack(norm="linf", eps=eps, steps=steps, step=0.25, aim=aim, keep_class=True)


def map_overlap_under_attack(  # noqa: PLR0917 - the inputs of a map, and the attack
    model: nn.Module,
    layer: str,
    images: Tensor,
    classes: Tensor,
    attack: MapAttack | PGD,
    upsample_fn: UpsampleFn | None = None,
) -> NDArray[np.float64]:
    """Computes the fraction of the highest tenth of a map's pixels that remain among the highest under attack.

    Args:
        model: In evaluation mode.
        layer: Name of the target layer.
        images: (N, 3, H, W), uint8.
        classes: The class that the maps explain, (N,). It stays the same after an attack on the prediction.
        attack: The attack.
        upsample_fn: Upsamples maps of a grid to the size of the images. None stretches them.

    Returns:
        (N,), in [0, 1]. 1 where the attack has no effect.
    """
    upsample_fn = upsample_fn or upsample

    def compute_overlap(part: slice) -> Tensor:
        original, explained = to_float(images[part]), classes[part]
        before = grad_cam(model, layer, original, explained, upsample_fn)
        if isinstance(attack, PGD):
            moved = pgd(model, original, explained, attack)
        else:
            target = before.flip(1, 2) if attack.aim == "target" else None
            moved = attack_maps(model, layer, original, explained, attack, target=target, upsample_fn=upsample_fn)
        return top_k_intersection(before, grad_cam(model, layer, moved, explained, upsample_fn)).double()

    return map_batches(compute_overlap, images).numpy()
