"""Where an image matters little, found while the network is being trained."""

import torch
from torch import Tensor, nn

from benchmark.attacks.mode import evaluating


def label_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the label's logit with respect to each image.

    The model is in evaluation mode for the time of it, so that no statistics move and no image depends on its
    neighbors; parameters collect no gradients. Costs two forward-equivalents.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C).
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


def lowest(values: Tensor, share: float) -> Tensor:
    """Where each map of values is lowest; of equal values at the border any.

    Args:
        values: (N, H, W).
        share: Share of the pixels that count as lowest, in [0, 1]; rounded to whole pixels.

    Returns:
        (N, H, W), bool, with the same number of true pixels in every map.

    Raises:
        ValueError: The share is out of its range.

    Example:
        >>> lowest(torch.tensor([[[4.0, 1.0], [3.0, 2.0]]]), 0.5)
        tensor([[[False,  True],
                 [False,  True]]])
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} makes no sense: it must lie in [0, 1]")
    flat = values.reshape(values.shape[0], -1)
    places = flat.topk(round(share * flat.shape[1]), dim=1, largest=False, sorted=False).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, places, value=True).reshape(values.shape)
