"""HiResCAM: gradient times activation, place by place."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Enlarge, Method
from benchmark.saliency.activations import activations_and_gradient, enlarged
from metrics.rounding import evident


def hires_cam(model: nn.Module, layer: str, images: Tensor, classes: Tensor, enlarge: Enlarge = enlarged) -> Tensor:
    """Gradient of the class's logit times activation, summed over the channels, rectified, up-sampled.

    Behind a pooled linear head the gradient is the same everywhere, and the map is Grad-CAM's.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        enlarge: Brings maps of the grid to the size of the images; by itself it stretches them.

    Returns:
        Maps (N, H, W), not negative; zero where nothing speaks for the class.

    Reference:
        Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
        networks, 2020, section 3. The paper leaves the map signed; its positive part is what speaks for the class.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    products = gradient * activations
    return enlarge(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


HIRES_CAM = Method(
    name="hires-cam",
    draw=hires_cam,
    source="Draelos and Carin, Use HiResCAM instead of Grad-CAM, 2020, arXiv 2011.08891, section 3",
    on_grid=True,
)
