"""LayerCAM: positive gradient times activation, position by position."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import activations_and_gradient, upsample
from metrics.rounding import evident


def layer_cam(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Computes positive gradient times activation, summed over the channels, rectified and upsampled.

    The gradient is that of the class's logit with respect to the activations.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative. Zero where nothing supports the class.

    Reference:
        Jiang et al., LayerCAM: exploring hierarchical class activation maps for localization, 2021, equations 5 to 7.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    products = functional.relu(gradient) * activations
    return upsample_fn(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


LAYER_CAM = Method(
    name="layer-cam",
    explain=layer_cam,
    source="Jiang et al., LayerCAM, 2021, equations 5 to 7",
    uses_grid=True,
)
