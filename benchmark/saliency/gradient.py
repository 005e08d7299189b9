"""The plain gradient."""

from torch import Tensor, nn

from benchmark.saliency import Method
from benchmark.saliency.input_gradient import input_gradient
from metrics.rounding import evident


def gradient(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Computes the absolute gradient of the class's logit with respect to each pixel, summed over the channels.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative.

    Reference:
        Simonyan et al., Deep inside convolutional networks, 2014, section 3.
    """
    return evident(input_gradient(model, images, classes).abs().sum(dim=1))


GRADIENT = Method(
    name="gradient",
    explain=gradient,
    source="Simonyan et al., Deep inside convolutional networks, 2014, section 3",
)
