"""What a network says of an image of which only a part is shown, and how much of that is rounding."""

import torch
from torch import Tensor, nn

from metrics.rounding import compute_rounding_bound, ulp_perturbations

FORWARDS = 64
"""Most images per forward pass."""


def masked_logits(model: nn.Module, image: Tensor, masks: Tensor) -> Tensor:
    """Logits of one image under masks.

    A forward pass never mixes images, so that no image's map depends on its batch, rounding included.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        image: (3, H, W), in [0, 1].
        masks: What to multiply it with, (M, H, W), in [0, 1]; hidden pixels turn black. At most FORWARDS of them.

    Returns:
        Logits (M, C), float64.
    """
    with torch.inference_mode():
        logits = model((image * masks[:, None]).contiguous(memory_format=torch.channels_last))
    # A copy made outside, with which autograd and in-place operations work again.
    return logits.to(torch.float64, copy=True)


def rounding_at(model: nn.Module, image: Tensor, others: Tensor | None = None) -> Tensor:
    """Most that two logits may differ by through rounding alone, scalar, float64; see :mod:`metrics.rounding`.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        image: (3, H, W), in [0, 1].
        others: Logits (M, C) that are to be compared.
    """
    with torch.inference_mode():
        copies = model((image + ulp_perturbations(image)).contiguous(memory_format=torch.channels_last))
    return compute_rounding_bound(copies.to(torch.float64, copy=True), image.dtype, others)
