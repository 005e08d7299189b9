"""HiResCAM: gradient times activation, position by position."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import activations_and_gradient, upsample
from metrics.rounding import evident


def hires_cam(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Computes the gradient of the class's logit times activation, summed over the channels, rectified and upsampled.

    Behind a pooled linear head the gradient is the same everywhere, and the map is Grad-CAM's.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative. Zero where nothing supports the class.

    Reference:
        Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
        networks, 2020, section 3. The paper leaves the map signed. Its positive part supports the class.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    products = gradient * activations
    return upsample_fn(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


HIRES_CAM = Method(
    name="hires-cam",
    explain=hires_cam,
    source="Draelos and Carin, Use HiResCAM instead of Grad-CAM, 2020, arXiv 2011.08891, section 3",
    uses_grid=True,
)
