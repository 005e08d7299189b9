"""SmoothGrad: the gradient, averaged over noisy copies of the image."""

import torch
from torch import Tensor, nn

from benchmark.saliency import Method
from benchmark.saliency.input_gradient import input_gradient
from metrics.rounding import evident

SAMPLES = 50
"""Noisy copies of each image, as in the paper."""
LEVEL = 0.15
"""Standard deviation of the noise as a share of the image's range, within the paper's 10 to 20 %."""
CHUNK = 25
"""Most copies per forward pass."""
SEED = 0


def smooth_grad(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Size of the gradient's mean over noisy copies of the image, summed over the channels.

    Every image of a size gets the same noise, scaled by its own range. Captum's draws it for the whole batch from the
    global generator: a map would change with the image's place in the batch, and with what was drawn before.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1]; the copies leave that range.
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative.

    Reference:
        Smilkov et al., SmoothGrad: removing noise by adding noise, 2017, section 3.
    """
    random = torch.Generator().manual_seed(SEED)
    noise = torch.randn(SAMPLES, *images.shape[1:], generator=random).to(images)
    maps = [_map(model, image, label, noise) for image, label in zip(images, classes, strict=True)]
    return evident(torch.stack(maps))


def _map(model: nn.Module, image: Tensor, label: Tensor, noise: Tensor) -> Tensor:
    """The map (H, W) of one image; a forward pass never mixes images, so that none depends on its batch."""
    spread = LEVEL * (image.max() - image.min())
    slopes = [
        input_gradient(model, image + spread * part, label.expand(len(part))).sum(dim=0) for part in noise.split(CHUNK)
    ]
    return (torch.stack(slopes).sum(dim=0) / SAMPLES).abs().sum(dim=0)


SMOOTH_GRAD = Method(
    name="smooth-grad",
    draw=smooth_grad,
    source="Smilkov et al., SmoothGrad, 2017, arXiv 1706.03825, section 3",
)
