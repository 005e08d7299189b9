"""LayerCAM: positive gradient times activation, place by place."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Enlarge, Method
from benchmark.saliency.activations import activations_and_gradient, enlarged
from metrics.rounding import evident


def layer_cam(model: nn.Module, layer: str, images: Tensor, classes: Tensor, enlarge: Enlarge = enlarged) -> Tensor:
    """Positive gradient of the class's logit times activation, summed over the channels, rectified, up-sampled.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        enlarge: Brings maps of the grid to the size of the images; by itself it stretches them.

    Returns:
        Maps (N, H, W), not negative; zero where nothing speaks for the class.

    Reference:
        Jiang et al., LayerCAM: exploring hierarchical class activation maps for localization, 2021, equations 5 to 7.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    products = functional.relu(gradient) * activations
    return enlarge(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


LAYER_CAM = Method(
    name="layer-cam",
    draw=layer_cam,
    source="Jiang et al., LayerCAM, 2021, equations 5 to 7",
    on_grid=True,
)
