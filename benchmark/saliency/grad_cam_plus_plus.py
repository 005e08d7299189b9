"""Grad-CAM++: each position of a channel is weighted by its contribution to the score."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import activations_and_gradient, upsample
from metrics.rounding import evident


def grad_cam_plus_plus(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Computes activations, weighted by a weighted mean of the positive gradients, rectified and upsampled.

    With g the gradient of the class's logit S and A a channel, the paper weights a position by
    g^2 / (2 g^2 + sum(A) g^3). This equals 1 / (2 + g sum(A)), which neither underflows nor needs a constant in the
    denominator. Where g is 0, the position contributes 0. The paper differentiates exp(S). The factor exp(S) only
    scales the map of an image and may overflow, so it is left out.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w). The paper assumes that it is not
            negative. Behind SiLU, for example, the denominator can come near zero, and one channel then dominates.
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative. Zero where nothing supports the class.

    Reference:
        Chattopadhay et al., Grad-CAM++: improved visual explanations for deep convolutional networks, 2018,
        equations 10 and 19.
    """
    activations, gradient = activations_and_gradient(model, layer, images, classes)
    denominator = 2 + gradient * activations.sum(dim=(2, 3), keepdim=True)
    contributions = torch.where(denominator == 0, 0, functional.relu(gradient) / denominator)
    weights = contributions.sum(dim=(2, 3), keepdim=True)
    products = weights * activations
    return upsample_fn(evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1)), images.shape[-2:])


GRAD_CAM_PLUS_PLUS = Method(
    name="grad-cam-plus-plus",
    explain=grad_cam_plus_plus,
    source="Chattopadhay et al., Grad-CAM++, 2018, equations 10 and 19",
    uses_grid=True,
)
