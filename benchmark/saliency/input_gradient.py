"""The gradient of the class's logit with respect to the image. Several methods start from it."""

import torch
from torch import Tensor, nn


def input_gradient(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Computes the gradient of each image's class logit with respect to the image.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float.
        classes: The class to explain for each image, (N,).

    Returns:
        (N, 3, H, W), signed, detached.
    """
    inputs = images.detach().clone().requires_grad_()
    target = model(inputs).gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(target, inputs)
    return gradient
