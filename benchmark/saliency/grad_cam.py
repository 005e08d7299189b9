"""Grad-CAM, for about the cost of one forward pass."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import activations_and_gradient, upsample
from metrics.rounding import evident


def grad_cam(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Computes activations of the layer, weighted by the mean gradient of the class's logit, rectified and upsampled.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative. Zero where nothing supports the class.

    Reference:
        Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017, section 3.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    products = weights * activations
    return upsample_fn(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


GRAD_CAM = Method(
    name="grad-cam",
    explain=grad_cam,
    source="Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017, section 3",
    uses_grid=True,
)
