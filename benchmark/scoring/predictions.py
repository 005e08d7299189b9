"""What a model predicts for each image, as it is and under attack."""

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attacks.apgd import APGD, apgd
from benchmark.attacks.autoattack import AutoAttack, autoattack
from benchmark.attacks.pgd import PGD, pgd
from benchmark.runtime.tensors import in_batches, predict, to_float

Attack = PGD | APGD | AutoAttack


def build_attacks(
    norm: Literal["l2", "linf"], budgets: tuple[float, ...], pgd_steps: int, apgd_steps: int, recipe: str = ""
) -> dict[str, Attack]:
    """The attacks of a protocol by name, such as pgd-20-l2-0.5; without random starts, so that no batch matters.

    Args:
        norm: "l2" or "linf".
        budgets: How far images are moved.
        pgd_steps: Steps of PGD.
        apgd_steps: Steps of APGD on the cross-entropy; 0 leaves it out.
        recipe: What AutoAttack runs for the number of classes; none leaves it out.
    """
    found: dict[str, Attack] = {}
    for eps in budgets:
        name = f"{norm}-{eps:g}"
        found[f"pgd-{pgd_steps}-{name}"] = PGD(norm=norm, eps=eps, steps=pgd_steps, step=0.5, random_start=False)
        if apgd_steps:
            found[f"apgd-{apgd_steps}-{name}"] = APGD(norm=norm, eps=eps, steps=apgd_steps, loss="ce")
        if recipe:
            found[f"{recipe}-{name}"] = AutoAttack(norm=norm, eps=eps)
    return found


def predict_and_attack(
    model: nn.Module, images: Tensor, labels: Tensor, *, attacks: Mapping[str, Attack], attacked: NDArray[np.intp]
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
        if the prediction under attack is still right, 0.0 if it is or was wrong, NaN where no attack was made).
    """
    probabilities = predict(model, images)
    predicted = probabilities.argmax(dim=1)
    right = (predicted == labels.cpu()).numpy()
    columns = {f"p{number}": probabilities[:, number].numpy() for number in range(probabilities.shape[1])}
    for name, attack in attacks.items():
        withstood = np.full(len(right), np.nan)
        withstood[attacked] = 0.0
        # Only a right prediction can be lost: the others need no attack.
        targets = attacked[right[attacked]]
        if len(targets):
            chosen = torch.as_tensor(targets, device=images.device)
            withstood[targets] = _withstands(model, images[chosen], labels[chosen], attack).double().numpy()
        columns[f"withstood:{name}"] = withstood
    return pd.DataFrame({"label": labels.cpu().numpy(), "predicted": predicted.numpy(), **columns})


def _withstands(model: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    def survive(part: slice) -> Tensor:
        moved = _moved(model, to_float(images[part]), labels[part], attack)
        with torch.inference_mode():
            return model(moved).argmax(dim=1) == labels[part]

    return in_batches(survive, images)


def _moved(model: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    if isinstance(attack, AutoAttack):
        return autoattack(model, images, labels, attack.norm, attack.eps)[0]
    move = partial(pgd, attack=attack) if isinstance(attack, PGD) else partial(apgd, attack=attack)
    return move(model, images, labels)
