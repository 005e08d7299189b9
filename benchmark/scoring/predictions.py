"""What a model predicts for each image, as it is and under attack."""

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
from benchmark.runtime.tensors import in_batches, predict, to_float
from benchmark.scoring.classification import ROBUST_PREFIX, VANISHED_PREFIX

Attack = PGD | APGD | AutoAttack
"""One way to move images."""
Attacks = tuple[Attack, ...]
"""Several, of which an image must withstand every one."""
ATTACK_LOSSES: tuple[Loss, ...] = ("ce", "margin")
"""What PGD and APGD raise in turn. Cross-entropy alone leaves a network that is sure of itself as it is: its gradient
vanishes with the scale of the logits. That of the margin does not."""


def build_attacks(
    norm: Literal["l2", "linf"], budgets: tuple[float, ...], pgd_steps: int, apgd_steps: int, recipe: str = ""
) -> dict[str, Attacks]:
    """The attacks of a protocol by name, such as pgd-20-l2-0.5; without random starts, so that no batch matters.

    PGD and APGD are each run on the cross-entropy and on the margin, and an image withstands if it withstands both.

    Args:
        norm: "l2" or "linf".
        budgets: How far images are moved.
        pgd_steps: Steps of PGD.
        apgd_steps: Steps of APGD; 0 leaves it out.
        recipe: What AutoAttack runs for the number of classes; none leaves it out.
    """
    found: dict[str, Attacks] = {}
    for eps in budgets:
        name = f"{norm}-{eps:g}"
        found[f"pgd-{pgd_steps}-{name}"] = tuple(
            PGD(norm=norm, eps=eps, steps=pgd_steps, step=0.5, random_start=False, loss=loss) for loss in ATTACK_LOSSES
        )
        if apgd_steps:
            found[f"apgd-{apgd_steps}-{name}"] = tuple(
                APGD(norm=norm, eps=eps, steps=apgd_steps, loss=loss) for loss in ATTACK_LOSSES
            )
        if recipe:
            found[f"{recipe}-{name}"] = (AutoAttack(norm=norm, eps=eps),)
    return found


def predict_and_attack(
    model: nn.Module, images: Tensor, labels: Tensor, *, attacks: Mapping[str, Attacks], attacked: NDArray[np.intp]
) -> pd.DataFrame:
    """Prediction of each image, as it is and under each attack.

    Args:
        model: In evaluation mode, on the device of the images.
        images: (N, 3, H, W), uint8.
        labels: True classes, (N,).
        attacks: By name.
        attacked: Places of the images that are attacked.

    Returns:
        A row per image: label, predicted, p0 ... (probability of each class) and, for each attack, withstood:NAME (1.0
        if the prediction under every attack of that name is still right, 0.0 if it is or was wrong, NaN where no attack
        was made) and, where gradients lead it, vanished:NAME (1.0 if the image gave all of its losses no gradient to
        speak of, as :func:`benchmark.attacks.vanishing.vanishes` has it, else 0.0, NaN where no attack was made or the
        prediction was wrong): such an attack goes nowhere, and what it leaves right may be masked.
    """
    probabilities = predict(model, images)
    predicted = probabilities.argmax(dim=1)
    right = (predicted == labels.cpu()).numpy()
    columns = {f"p{number}": probabilities[:, number].numpy() for number in range(probabilities.shape[1])}
    # Only a right prediction can be lost: the others need no attack.
    targets = attacked[right[attacked]]
    chosen = torch.as_tensor(targets, device=images.device)
    for name, each in attacks.items():
        withstood = np.full(len(right), np.nan)
        withstood[attacked] = 0.0
        if len(targets):
            withstood[targets] = _withstands(model, images[chosen], labels[chosen], each).double().numpy()
        columns[f"{ROBUST_PREFIX}{name}"] = withstood
        if led := [attack for attack in each if not isinstance(attack, AutoAttack)]:
            vanished = np.full(len(right), np.nan)
            if len(targets):
                vanished[targets] = _vanished(model, images[chosen], labels[chosen], led).double().numpy()
            columns[f"{VANISHED_PREFIX}{name}"] = vanished
    return pd.DataFrame({"label": labels.cpu().numpy(), "predicted": predicted.numpy(), **columns})


def _withstands(model: nn.Module, images: Tensor, labels: Tensor, attacks: Attacks) -> Tensor:
    """Whether each prediction is right under all attacks, (N,), on the CPU; what is lost is not attacked again."""
    withstood = torch.ones(len(images), dtype=torch.bool)
    for attack in attacks:
        left = withstood.nonzero()[:, 0]
        if len(left):
            places = left.to(images.device)
            withstood[left] = _withstands_one(model, images[places], labels[places], attack)
    return withstood


def _withstands_one(model: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    def survive(part: slice) -> Tensor:
        moved = _moved(model, to_float(images[part]), labels[part], attack)
        with torch.inference_mode():
            return model(moved).argmax(dim=1) == labels[part]

    return in_batches(survive, images)


def _vanished(model: nn.Module, images: Tensor, labels: Tensor, attacks: Sequence[PGD | APGD]) -> Tensor:
    """Whether the gradients of all attacks vanish at the image, (N,), on the CPU."""

    def query(part: slice) -> Tensor:
        plain = to_float(images[part])
        return torch.stack([vanishes(model, plain, labels[part], attack, attack.loss) for attack in attacks]).all(dim=0)

    return in_batches(query, images)


def _moved(model: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    if isinstance(attack, AutoAttack):
        return autoattack(model, images, labels, attack.norm, attack.eps)[0]
    move = partial(pgd, attack=attack) if isinstance(attack, PGD) else partial(apgd, attack=attack)
    return move(model, images, labels)
