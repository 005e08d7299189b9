"""Predictions of a model for each image, clean and under attack."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attacks.apgd import APGD, apgd
from benchmark.attacks.autoattack import AutoAttack, autoattack
from benchmark.attacks.losses import Loss
from benchmark.attacks.pgd import PGD, pgd
from benchmark.attacks.vanishing import vanishes
from benchmark.runtime.tensors import map_batches, predict, to_float
from benchmark.scoring.classification import ROBUST_PREFIX, VANISHED_PREFIX

Attack = PGD | APGD | AutoAttack
"""An attack on the prediction."""
Attacks = tuple[Attack, ...]
"""Several attacks. An image is robust if it is robust to each of them."""
ATTACK_LOSSES: tuple[Loss, ...] = ("ce", "margin")
"""Losses that PGD and APGD maximize in turn. The gradient of the cross-entropy vanishes for confident networks with
large logits. That of the margin does not."""


def build_attacks(
    norm: Literal["l2", "linf"], budgets: tuple[float, ...], pgd_steps: int, apgd_steps: int, recipe: str = ""
) -> dict[str, Attacks]:
    """Builds the attacks of a protocol by name, such as pgd-20-l2-0.5.

    They have no random starts, so they do not depend on the batch. PGD and APGD each run on the cross-entropy and on
    the margin. An image is robust if it is robust to both.

    Args:
        norm: "l2" or "linf".
        budgets: Budgets of the attacks.
        pgd_steps: Number of steps of PGD.
        apgd_steps: Number of steps of APGD. 0 leaves it out.
        recipe: Name of the AutoAttack version for the number of classes. "" leaves it out.
    """
    attacks: dict[str, Attacks] = {}
    for eps in budgets:
        name = f"{norm}-{eps:g}"
        attacks[f"pgd-{pgd_steps}-{name}"] = tuple(
            PGD(norm=norm, eps=eps, steps=pgd_steps, step=0.5, random_start=False, loss=loss) for loss in ATTACK_LOSSES
        )
        if apgd_steps:
            attacks[f"apgd-{apgd_steps}-{name}"] = tuple(
                APGD(norm=norm, eps=eps, steps=apgd_steps, loss=loss) for loss in ATTACK_LOSSES
            )
        if recipe:
            attacks[f"{recipe}-{name}"] = (AutoAttack(norm=norm, eps=eps),)
    return attacks


def predict_and_attack(
    model: nn.Module, images: Tensor, labels: Tensor, *, attacks: Mapping[str, Attacks], attacked: NDArray[np.intp]
) -> pd.DataFrame:
    """Predicts the class of each image, clean and under each attack.

    Args:
        model: In evaluation mode, on the device of the images.
        images: (N, 3, H, W), uint8.
        labels: True classes, (N,).
        attacks: Attacks by name.
        attacked: Indices of the images to attack.

    Returns:
        A row per image with the columns label, predicted and p0 ... (probability of each class). Each attack adds a
        column withstood:NAME. It is 1.0 if the prediction is correct under every attack of that name, 0.0 if it is
        wrong under attack or before, and NaN for images that are not attacked. Each gradient-based attack adds a column
        vanished:NAME. It is 1.0 if the gradients of all of its losses vanish at the image, by
        :func:`benchmark.attacks.vanishing.vanishes`, else 0.0. It is NaN for images that are not attacked or already
        wrong. Where gradients vanish, the attack has no effect, and gradient masking may explain the robustness.
    """
    probabilities = predict(model, images)
    predicted = probabilities.argmax(dim=1)
    correct = (predicted == labels.cpu()).numpy()
    columns = {f"p{index}": probabilities[:, index].numpy() for index in range(probabilities.shape[1])}
    # Only correct predictions need an attack. The others count as not robust.
    targets = attacked[correct[attacked]]
    chosen = torch.as_tensor(targets, device=images.device)
    for name, group in attacks.items():
        robust = np.full(len(correct), np.nan)
        robust[attacked] = 0.0
        if len(targets):
            robust[targets] = _is_robust(model, images[chosen], labels[chosen], group).double().numpy()
        columns[f"{ROBUST_PREFIX}{name}"] = robust
        if by_gradient := [attack for attack in group if not isinstance(attack, AutoAttack)]:
            vanished = np.full(len(correct), np.nan)
            if len(targets):
                vanished[targets] = _vanished(model, images[chosen], labels[chosen], by_gradient).double().numpy()
            columns[f"{VANISHED_PREFIX}{name}"] = vanished
    return pd.DataFrame({"label": labels.cpu().numpy(), "predicted": predicted.numpy(), **columns})


def _is_robust(model: nn.Module, images: Tensor, labels: Tensor, attacks: Attacks) -> Tensor:
    """Returns whether each prediction is correct under all attacks, (N,), on the CPU. Skips images already lost."""
    robust = torch.ones(len(images), dtype=torch.bool)
    for attack in attacks:
        remaining = robust.nonzero()[:, 0]
        if len(remaining):
            indices = remaining.to(images.device)
            robust[remaining] = _is_robust_to(model, images[indices], labels[indices], attack)
    return robust


def _is_robust_to(model: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    def predict_attacked(part: slice) -> Tensor:
        moved = _run_attack(model, to_float(images[part]), labels[part], attack)
        with torch.inference_mode():
            return model(moved).argmax(dim=1) == labels[part]

    return map_batches(predict_attacked, images)


def _vanished(model: nn.Module, images: Tensor, labels: Tensor, attacks: Sequence[PGD | APGD]) -> Tensor:
    """Returns whether the gradients of all attacks vanish at each image, (N,), on the CPU."""

    def check(part: slice) -> Tensor:
        originals = to_float(images[part])
        return torch.stack([vanishes(model, originals, labels[part], attack, attack.loss) for attack in attacks]).all(
            dim=0
        )

    return map_batches(check, images)


def _run_attack(model: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    if isinstance(attack, AutoAttack):
        return autoattack(model, images, labels, attack.norm, attack.eps)[0]
    run = partial(pgd, attack=attack) if isinstance(attack, PGD) else partial(apgd, attack=attack)
    return run(model, images, labels)
