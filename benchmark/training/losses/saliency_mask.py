"""Masks of the least salient pixels, computed during training."""

import torch
from torch import Tensor, nn

from benchmark.attacks.mode import evaluating


def label_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Computes the gradient of the label's logit with respect to each image.

    The model runs in evaluation mode, so that no statistics change and no image depends on others in the batch.
    Parameters collect no gradients. The cost is two forward-equivalents.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        labels: (N,), int64.

    Returns:
        The logits (N, C), float32, and the gradients (N, 3, H, W), both detached.
    """
    inputs = images.detach().requires_grad_()
    with evaluating(model):
        logits = model(inputs).float()
        (gradient,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), inputs)
    return logits.detach(), gradient


def lowest(values: Tensor, fraction: float) -> Tensor:
    """Marks the lowest values of each map. Ties at the border are broken arbitrarily.

    Args:
        values: (N, H, W).
        fraction: Fraction of the pixels to mark, in [0, 1]. Rounded to whole pixels.

    Returns:
        (N, H, W), bool, with the same number of true pixels in every map.

    Raises:
        ValueError: The fraction is out of its range.

    Example:
        >>> lowest(torch.tensor([[[4.0, 1.0], [3.0, 2.0]]]), 0.5)
        tensor([[[False,  True],
                 [False,  True]]])
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"a fraction of {fraction} is invalid: it must be in [0, 1]")
    flat = values.reshape(values.shape[0], -1)
    indices = flat.topk(round(fraction * flat.shape[1]), dim=1, largest=False, sorted=False).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, indices, value=True).reshape(values.shape)
