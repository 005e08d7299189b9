"""MobileNet with a smoothed feature map after its first stage, for adversarial training after Bhusal et al.

The block adds a linear mix of the blurred channels to the features. Its convolution is zero at first, so the network
begins as ``mobilenet``, and published weights of that network still mean what they did. Compare the two with the same
regime, such as ``pgd-linf``.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from architectures import Architecture
from architectures.mobilenet import TIMM_NAME
from architectures.network import Network, pretrained_network, random_network

CHANNELS = 128
# The rule of OpenCV and kornia for a kernel of 3 pixels. The authors' code takes the side of the features for the size
# of the kernel. At 56 cells that is a deviation of 9 cells, so their kernel of 3 x 3 is nearly uniform.
SIGMA = 0.8


class FeatureSmoothing(nn.Module):
    """Adds a 1 x 1 convolution of blurred features to the features.

    Attributes:
        kernel: Gaussian of 3 x 3 cells with the sum 1, (C, 1, 3, 3). It is not trained.
        mix: The convolution, zero at first.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        weights = torch.exp(-torch.tensor([-1.0, 0.0, 1.0]).square() / (2 * SIGMA**2))
        kernel = torch.outer(weights, weights) / weights.sum().square()
        self.register_buffer("kernel", kernel.expand(channels, 1, 3, 3).clone(), persistent=False)
        self.mix = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]  # a convolution with a bias

    def forward(self, features: Tensor) -> Tensor:
        """Maps features (N, C, h, w) to features of the same shape."""
        padded = functional.pad(features, (1, 1, 1, 1), mode="reflect")
        mixed: Tensor = self.mix(functional.conv2d(padded, self.kernel, groups=features.shape[1]))
        return features + mixed


def with_smoothing(build: Callable[[int], Network], num_classes: int) -> Network:
    """Builds a MobileNet and appends the block to its first stage, where the grid has a fourth of the side.

    Args:
        build: Builds the MobileNet.
        num_classes: Number of classes.
    """
    network = build(num_classes)
    network.body.get_submodule("blocks.1").append(FeatureSmoothing(CHANNELS))  # type: ignore[operator]  # a Sequential
    return network


MOBILENET_SMOOTHED = Architecture(
    name="mobilenet_smoothed",
    build=partial(with_smoothing, partial(random_network, TIMM_NAME)),
    pretrained=partial(with_smoothing, partial(pretrained_network, "mobilenet_smoothed", TIMM_NAME)),
    target_layer="body.blocks.4.1",
    input_size=224,
    learning_rate=3e-3,
    quick_epochs=12,
    source="Howard et al., 2017, arXiv 1704.04861, with the block of Bhusal et al., 2026, arXiv 2603.07302",
    in_default_grid=False,
)
