"""ResNet50 with a second head that predicts the mask of the lesion, after Rasaee and Rivaz.

Trunk and class head are those of ``resnet50``, so the two networks differ only in their training signal. The paper was
not available. The mask head follows a re-implementation by a third party, which cites the paper, for images of 448 px.
It has three stages of convolution (3 x 3), ReLU6, upsampling (bilinear, corners aligned) and BatchNorm. The number of
channels decreases from 2048 to 256, 64 and 1. The sides increase from 14 to 16, 112 and 448.

Here the sides are the same fractions of any image. The last stage only convolves and upsamples, so that it returns
logits. There, ReLU6 would map all pixels outside of the lesion to the same value. BatchNorm of a single channel would
normalize each pixel by the rest of the batch, so the lesion sizes of other images would change the mask of an image.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate, relu6

from architectures import Architecture
from architectures.network import Network, pretrained_network, random_network
from architectures.resnet50 import TIMM_NAME

CHANNELS = (2048, 256, 64, 1)
FRACTIONS = (28, 4, 1)


class MaskHead(nn.Module):
    """A head that maps features of the trunk to one logit per pixel of the image, in three stages."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(*pair, 3, padding=1) for pair in pairwise(CHANNELS))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in CHANNELS[1:-1])

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Maps features (N, 2048, h, w) to logits (N, H, W), where ``size`` is (H, W)."""
        first, second, last = ([-(-side // fraction) for side in size] for fraction in FRACTIONS)
        for convolution, norm, grid in zip(self.convolutions[:-1], self.norms, (first, second), strict=True):
            features = norm(_upsample(relu6(convolution(features)), grid))
        return _upsample(self.convolutions[-1](features), last)[:, 0]


class MultitaskNetwork(Network):
    """A network that also predicts a mask. ``forward`` only classifies, without the mask head.

    Attributes:
        mask_head: Head on the output of the last block of the body.
    """

    def __init__(self, body: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(body, mean, std)
        self.mask_head = MaskHead()

    def with_mask(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predicts class and mask in one pass through the trunk.

        Args:
            images: (N, 3, H, W) in [0, 1].

        Returns:
            Logits of the classes (N, num_classes) and of the mask (N, H, W). The sigmoid of the latter is the
            probability that a pixel belongs to the lesion.
        """
        features = self.body.forward_features((images - self.mean) / self.std)  # type: ignore[operator]  # timm's
        logits: Tensor = self.body.forward_head(features)  # type: ignore[operator]  # timm's
        return logits, self.mask_head(features, images.shape[-2:])


def with_mask_head(build: Callable[[int], Network], num_classes: int) -> MultitaskNetwork:
    """Builds a network with a new mask head.

    Args:
        build: Builds the ResNet50 that classifies.
        num_classes: Number of classes.
    """
    config = import_module("timm").get_pretrained_cfg(TIMM_NAME)
    return MultitaskNetwork(build(num_classes).body, config.mean, config.std)


def _upsample(features: Tensor, size: Sequence[int]) -> Tensor:
    return interpolate(features, tuple(size), mode="bilinear", align_corners=True)


RESNET50_MULTITASK = Architecture(
    name="resnet50_multitask",
    build=partial(with_mask_head, partial(random_network, TIMM_NAME)),
    pretrained=partial(with_mask_head, partial(pretrained_network, "resnet50_multitask", TIMM_NAME)),
    target_layer="body.layer4",
    input_size=224,
    learning_rate=1e-3,
    quick_epochs=6,
    source="Rasaee and Rivaz, 2021, arXiv 2108.04345",
    predicts_masks=True,
)
