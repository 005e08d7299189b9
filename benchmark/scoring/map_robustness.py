"""How far the Grad-CAM map can be moved by changes that nobody sees."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attacks.maps import MapAttack, attack_maps, top_k_intersection
from benchmark.attacks.pgd import PGD, pgd
from benchmark.runtime.tensors import in_batches, to_float
from benchmark.saliency import UpsampleFn
from benchmark.saliency.activations import upsample
from benchmark.saliency.grad_cam import grad_cam

BUDGETS = (2 / 255, 4 / 255)
"""Linf budgets that nobody sees."""


def build_map_attacks(steps: int) -> dict[str, MapAttack | PGD]:
    """What the maps are attacked by, by name.

    At both budgets: off the pixels where the map is highest, with the prediction kept. At the larger one also: away
    from its whole place, and towards the place half a turn round the center, with the prediction kept; and an attack on
    the prediction alone, to see what becomes of the map.
    """
    off = {f"top-k-{steps}-{_name(eps)}": _keeping("top-k", eps, steps) for eps in BUDGETS}
    eps = BUDGETS[-1]
    return {
        **off,
        f"away-{steps}-{_name(eps)}": _keeping("away", eps, steps),
        f"turned-{steps}-{_name(eps)}": _keeping("target", eps, steps),
        f"class-{steps}-{_name(eps)}": PGD(norm="linf", eps=eps, steps=steps, step=0.25, random_start=False),
    }


def _name(eps: float) -> str:
    return f"linf-{eps * 255:g}/255"


def _keeping(aim: Literal["away", "target", "top-k"], eps: float, steps: int) -> MapAttack:
    return MapAttack(norm="linf", eps=eps, steps=steps, step=0.25, aim=aim, keep_class=True)


def map_overlap_under_attack(  # noqa: PLR0917 - what maps are made of, and the attack
    model: nn.Module,
    layer: str,
    images: Tensor,
    classes: Tensor,
    attack: MapAttack | PGD,
    upsample_fn: UpsampleFn | None = None,
) -> NDArray[np.float64]:
    """Share of the highest tenth of a map's pixels that are still among the highest under attack.

    Args:
        model: In evaluation mode.
        layer: Name of the saliency layer.
        images: (N, 3, H, W), uint8.
        classes: The class whose map is drawn, (N,); after an attack on the prediction, too.
        attack: What to do.
        enlarge: Places maps of a grid on the image; None stretches them.

    Returns:
        (N,), in [0, 1]; 1 where the attack got nowhere.
    """
    place = upsample_fn or upsample

    def keep(part: slice) -> Tensor:
        plain, chosen = to_float(images[part]), classes[part]
        before = grad_cam(model, layer, plain, chosen, place)
        if isinstance(attack, PGD):
            moved = pgd(model, plain, chosen, attack)
        else:
            target = before.flip(1, 2) if attack.aim == "target" else None
            moved = attack_maps(model, layer, plain, chosen, attack, target=target, upsample_fn=place)
        return top_k_intersection(before, grad_cam(model, layer, moved, chosen, place)).double()

    return in_batches(keep, images).numpy()
