"""How well the masks fit that a multi-task network predicts."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.tensors import map_batches, to_float
from benchmark.training.tensor_data import TensorData


def mask_dice(model: nn.Module, lesson: TensorData) -> NDArray[np.float64]:
    """Dice of the predicted mask, cut at one half, with the reference, cut at one half.

    Args:
        model: In evaluation mode; has `with_mask`.
        lesson: Images with masks.

    Returns:
        Scores (N,), float64, in [0, 1]; NaN where the reference marks nothing or is not known.
    """

    def score(part: slice) -> Tensor:
        with torch.inference_mode():
            _, drawn = model.with_mask(to_float(lesson.images[part]))  # type: ignore[operator]
        reference = lesson.masks[part].float()  # type: ignore[index]
        marked = (reference > 0.5).flatten(1)
        predicted = (drawn > 0).flatten(1)
        shared = (marked & predicted).sum(dim=1).double()
        dice = 2 * shared / (marked.sum(dim=1) + predicted.sum(dim=1)).clamp(min=1)
        return dice.masked_fill(~marked.any(dim=1), torch.nan)

    return map_batches(score, lesson.images).numpy()
