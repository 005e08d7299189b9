"""How far the Grad-CAM map can be moved while the diagnosis stays what it is."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attacks.maps import MapAttack, attack_maps, top_k_intersection
from benchmark.explain import in_batches
from benchmark.saliency.grad_cam import grad_cam
from benchmark.training.lesson import to_float

BUDGETS = (2 / 255, 4 / 255)
"""Linf budgets that nobody sees."""


def map_attacks_of(steps: int) -> dict[str, MapAttack]:
    """The attacks on the map by name: off the pixels where it is highest, with the prediction kept."""
    return {
        f"top-k-{steps}-linf-{eps * 255:g}/255": MapAttack(
            norm="linf", eps=eps, steps=steps, step=0.25, aim="top-k", keep_class=True
        )
        for eps in BUDGETS
    }


def map_kept(model: nn.Module, layer: str, images: Tensor, classes: Tensor, attack: MapAttack) -> NDArray[np.float64]:
    """Share of the highest tenth of a map's pixels that are still among the highest under attack.

    Args:
        model: In evaluation mode.
        layer: Name of the saliency layer.
        images: (N, 3, H, W), uint8.
        classes: The class whose map is drawn, (N,).
        attack: What to do.

    Returns:
        (N,), in [0, 1]; 1 where the attack got nowhere.
    """

    def keep(part: slice) -> Tensor:
        plain, chosen = to_float(images[part]), classes[part]
        moved = attack_maps(model, layer, plain, chosen, attack)
        before, after = (grad_cam(model, layer, each, chosen) for each in (plain, moved))
        return top_k_intersection(before, after).double()

    return in_batches(keep, len(images)).numpy()
