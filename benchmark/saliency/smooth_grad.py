"""SmoothGrad: the gradient, averaged over noisy copies of the image."""

import torch
from torch import Tensor, nn

from benchmark.saliency import Method
from benchmark.saliency.input_gradient import input_gradient
from metrics.rounding import evident

NUM_SAMPLES = 50
"""Number of noisy copies of each image, as in the paper."""
NOISE_LEVEL = 0.15
"""Standard deviation of the noise as a fraction of the image's range, within the paper's 10 to 20 %."""
CHUNK_SIZE = 25
"""Maximum number of copies per forward pass."""
SEED = 0


def smooth_grad(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Computes the absolute mean gradient over noisy copies of the image, summed over the channels.

    Every image of a size gets the same noise, scaled by its own range. Captum samples the noise of a whole batch from
    the global generator. A map would then depend on the image's index in the batch and on earlier samples.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1]. The copies may leave that range.
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative.

    Reference:
        Smilkov et al., SmoothGrad: removing noise by adding noise, 2017, section 3.
    """
    random = torch.Generator().manual_seed(SEED)
    noise = torch.randn(NUM_SAMPLES, *images.shape[1:], generator=random).to(images)
    maps = [_map(model, image, label, noise) for image, label in zip(images, classes, strict=True)]
    return evident(torch.stack(maps))


def _map(model: nn.Module, image: Tensor, label: Tensor, noise: Tensor) -> Tensor:
    """Computes the map (H, W) of one image. A forward pass never mixes images, so no map depends on its batch."""
    spread = NOISE_LEVEL * (image.max() - image.min())
    gradients = [
        input_gradient(model, image + spread * part, label.expand(len(part))).sum(dim=0)
        for part in noise.split(CHUNK_SIZE)
    ]
    return (torch.stack(gradients).sum(dim=0) / NUM_SAMPLES).abs().sum(dim=0)


SMOOTH_GRAD = Method(
    name="smooth-grad",
    explain=smooth_grad,
    source="Smilkov et al., SmoothGrad, 2017, arXiv 1706.03825, section 3",
)
