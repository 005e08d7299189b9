"""Logits of a partly masked image, and their rounding error."""

import torch
from torch import Tensor, nn

from metrics.rounding import compute_rounding_bound, ulp_perturbations

MAX_BATCH_SIZE = 64
"""Maximum number of images per forward pass."""


def masked_logits(model: nn.Module, image: Tensor, masks: Tensor) -> Tensor:
    """Computes logits of one image under masks.

    A forward pass never mixes images. So the map of an image does not depend on its batch, not even by rounding.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        image: (3, H, W), in [0, 1].
        masks: Factors of the pixels, (M, H, W), in [0, 1]. Hidden pixels become black. M is at most MAX_BATCH_SIZE.

    Returns:
        Logits (M, C), float64.
    """
    with torch.inference_mode():
        logits = model((image * masks[:, None]).contiguous(memory_format=torch.channels_last))
    # A copy made outside of inference mode, so that autograd and in-place operations work again.
    return logits.to(torch.float64, copy=True)


def rounding_at(model: nn.Module, image: Tensor, others: Tensor | None = None) -> Tensor:
    """Computes the maximum difference of two logits by rounding alone, scalar, float64. See :mod:`metrics.rounding`.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        image: (3, H, W), in [0, 1].
        others: Logits (M, C) to compare.
    """
    with torch.inference_mode():
        copies = model((image + ulp_perturbations(image)).contiguous(memory_format=torch.channels_last))
    return compute_rounding_bound(copies.to(torch.float64, copy=True), image.dtype, others)
