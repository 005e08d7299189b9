"""Occlusion: what the network loses when a part of the image is covered."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from benchmark.saliency.masked import FORWARDS

WINDOWS = 8
"""How many windows fit beside each other. They move by half of their side, which makes 15 x 15 forward passes."""
GRAY = 0.5
ROUNDING = 1e-5
"""Share of the largest logit that logits may differ by in another batch."""


def occlusion(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Mean fall of the class's probability when a gray window covers the pixel, rectified.

    A window that moves no logit by more than rounding changes nothing: maps are stretched before they are scored, and
    rounding would fill an empty one.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative; zero where covering does not harm the class.

    Reference:
        Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014, section 4.2.
    """
    from captum.attr import Occlusion  # noqa: PLC0415 - captum takes seconds to import

    window = [max(1, side // WINDOWS) for side in images.shape[-2:]]
    with torch.inference_mode():
        # One image at a time, so that none depends on its batch. A window covers all three channels at once.
        falls = [
            Occlusion(_probabilities(model, image)).attribute(
                image[None],
                (3, *window),
                strides=(3, *(max(1, side // 2) for side in window)),
                baselines=GRAY,
                target=label[None],
                perturbations_per_eval=FORWARDS,
            )[:, 0]
            for image, label in zip(images, classes, strict=True)
        ]
    # A copy made outside, with which autograd and in-place operations work again.
    return functional.relu(torch.cat(falls)).to(images.dtype, copy=True)


def _probabilities(model: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    """A function of covered images (M, 3, H, W) that gives probabilities (M, C), float64."""
    plain = model(image[None])
    least = ROUNDING * plain.abs().max()

    def probabilities(inputs: Tensor) -> Tensor:
        logits = model(inputs.contiguous(memory_format=torch.channels_last))
        moved = (logits - plain).abs().amax(dim=1, keepdim=True) > least
        return torch.where(moved, logits, plain).double().softmax(dim=1)

    return probabilities


OCCLUSION = Method(
    name="occlusion",
    draw=occlusion,
    source="Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014, section 4.2",
)
