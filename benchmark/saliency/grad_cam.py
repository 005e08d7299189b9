"""Grad-CAM at the price of about one forward pass."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Enlarge, Method
from benchmark.saliency.activations import activations_and_gradient, enlarged
from metrics.rounding import evident


def grad_cam(model: nn.Module, layer: str, images: Tensor, classes: Tensor, enlarge: Enlarge = enlarged) -> Tensor:
    """Activations of the layer, weighted by the mean gradient of the class's logit, rectified, up-sampled.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        enlarge: Brings maps of the grid to the size of the images; by itself it stretches them.

    Returns:
        Maps (N, H, W), not negative; zero where nothing speaks for the class.

    Reference:
        Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017, section 3.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    products = weights * activations
    return enlarge(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


GRAD_CAM = Method(
    name="grad-cam",
    draw=grad_cam,
    source="Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017, section 3",
    on_grid=True,
)
