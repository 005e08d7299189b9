"""Scores of the masks that a multi-task network predicts."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.tensors import map_batches, to_float
from benchmark.training.tensor_data import TensorData


def mask_dice(model: nn.Module, data: TensorData) -> NDArray[np.float64]:
    """Computes the Dice score of predicted masks and references, both at a threshold of one half.

    Args:
        model: In evaluation mode, with a method `with_mask`.
        data: Images with masks.

    Returns:
        Scores (N,), float64, in [0, 1]. NaN where the reference is empty or missing.
    """

    def score(part: slice) -> Tensor:
        with torch.inference_mode():
            _, mask_logits = model.with_mask(to_float(data.images[part]))  # type: ignore[operator]
        reference = data.masks[part].float()  # type: ignore[index]
        marked = (reference > 0.5).flatten(1)
        predicted = (mask_logits > 0).flatten(1)
        shared = (marked & predicted).sum(dim=1).double()
        dice = 2 * shared / (marked.sum(dim=1) + predicted.sum(dim=1)).clamp(min=1)
        return dice.masked_fill(~marked.any(dim=1), torch.nan)

    return map_batches(score, data.images).numpy()
