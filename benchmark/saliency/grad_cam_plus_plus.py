"""Grad-CAM++: each position of a channel counts by its share in the score."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Enlarge, Method
from benchmark.saliency.activations import activations_and_gradient, enlarged
from metrics.rounding import evident


def grad_cam_plus_plus(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, enlarge: Enlarge = enlarged
) -> Tensor:
    """Activations of the layer, weighted by a weighted mean of the positive gradients, rectified, up-sampled.

    With g the gradient of the class's logit S and A a channel, a position weighs g^2 / (2 g^2 + sum(A) g^3), which is
    1 / (2 + g sum(A)): that form neither underflows nor needs a constant in the denominator, and is 0 where g is 0. The
    paper differentiates exp(S); the factor exp(S), one per image, scales the map, may overflow, and is left out.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w). The paper assumes that it is not
            negative; behind SiLU, say, the denominator can come near zero and a channel outweigh all others.
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        enlarge: Brings maps of the grid to the size of the images; by itself it stretches them.

    Returns:
        Maps (N, H, W), not negative; zero where nothing speaks for the class.

    Reference:
        Chattopadhay et al., Grad-CAM++: improved visual explanations for deep convolutional networks, 2018,
        equations 10 and 19.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    denominator = 2 + gradient * activations.sum(dim=(2, 3), keepdim=True)
    shares = torch.where(denominator == 0, 0, functional.relu(gradient) / denominator)
    weights = shares.sum(dim=(2, 3), keepdim=True)
    products = weights * activations
    return enlarge(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


GRAD_CAM_PLUS_PLUS = Method(
    name="grad-cam-plus-plus",
    draw=grad_cam_plus_plus,
    source="Chattopadhay et al., Grad-CAM++, 2018, equations 10 and 19",
    on_grid=True,
)
