"""How well a model diagnoses, and how well it withstands."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.explain import in_batches, predict
from benchmark.training.attacks import PGD, pgd
from benchmark.training.loop import to_float


def diagnose(
    model: nn.Module, images: Tensor, labels: Tensor, *, attack: PGD, attacked: NDArray[np.intp]
) -> pd.DataFrame:
    """Prediction of each image, as it is and under attack.

    Args:
        model: In evaluation mode, on the device of the images.
        images: (N, 3, H, W), uint8.
        labels: True classes, (N,).
        attack: The attack; without a random start, so that a result does not depend on the batch.
        attacked: Places of the images that are attacked.

    Returns:
        A row per image: label, predicted, p0 ... (probability of each class), withstood (1.0 if the prediction
        under attack is still right, 0.0 if it is or was wrong, NaN where no attack was made).
    """
    probabilities = predict(model, images)
    predicted = probabilities.argmax(dim=1)
    right = (predicted == labels.cpu()).numpy()
    withstood = np.full(len(right), np.nan)
    withstood[attacked] = 0.0
    # Only a right prediction can be lost: the others need no attack.
    targets = attacked[right[attacked]]
    if len(targets):
        chosen = torch.as_tensor(targets, device=images.device)
        withstood[targets] = _withstands(model, images[chosen], labels[chosen], attack).double().numpy()
    columns = {f"p{number}": probabilities[:, number].numpy() for number in range(probabilities.shape[1])}
    frame = {"label": labels.cpu().numpy(), "predicted": predicted.numpy(), "withstood": withstood, **columns}
    return pd.DataFrame(frame)


def _withstands(model: nn.Module, images: Tensor, labels: Tensor, attack: PGD) -> Tensor:
    def survive(part: slice) -> Tensor:
        moved = pgd(model, to_float(images[part]), labels[part], attack)
        with torch.inference_mode():
            return model(moved).argmax(dim=1) == labels[part]

    return in_batches(survive, len(images))
