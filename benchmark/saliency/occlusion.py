"""Occlusion: what the network loses when a part of the image is covered."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from benchmark.saliency.masked import FORWARDS, rounding_at
from metrics.rounding import evident, log_odds, probability_gained

WINDOWS = 8
"""How many windows fit beside each other. They move by half of their side, which makes 15 x 15 forward passes."""
GRAY = 0.5


def occlusion(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Mean fall of the class's probability when a gray window covers the pixel, rectified.

    A window that moves the log-odds of the class by no more than twice the rounding of a logit changes nothing: maps
    are stretched before they are scored, and rounding would fill an empty one.

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
            Occlusion(_gains(model, image, label)).attribute(
                image[None],
                (3, *window),
                strides=(3, *(max(1, side // 2) for side in window)),
                baselines=GRAY,
                target=0,
                perturbations_per_eval=FORWARDS,
            )[:, 0]
            for image, label in zip(images, classes, strict=True)
        ]
    # A copy made outside, with which autograd and in-place operations work again.
    return evident(functional.relu(torch.cat(falls)).to(images.dtype, copy=True))


def _gains(model: nn.Module, image: Tensor, label: Tensor) -> Callable[[Tensor], Tensor]:
    """A function of covered images (M, 3, H, W): what the class gains in probability, (M, 1), float64."""
    plain = log_odds(model(image[None]), label)
    least = 2 * rounding_at(model, image)

    def gains(inputs: Tensor) -> Tensor:
        odds = log_odds(model(inputs.contiguous(memory_format=torch.channels_last)), label)
        return probability_gained(torch.where((odds - plain).abs() <= least, plain, odds), plain)[:, None]

    return gains


OCCLUSION = Method(
    name="occlusion",
    draw=occlusion,
    source="Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014, section 4.2",
)
