"""EigenCAM: where the layer is active, whatever the class."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Enlarge, Method
from benchmark.saliency.activations import enlarged, get_activations


def eigen_cam(model: nn.Module, layer: str, images: Tensor, _classes: Tensor, enlarge: Enlarge = enlarged) -> Tensor:
    """Activations of the layer, projected on their first principal direction, rectified, up-sampled.

    The direction is the first right singular vector of the activations, written as a matrix of positions by channels;
    as in the paper they are not centered. A singular vector has no sign of its own: the one is taken that makes the
    sum of the map positive. (Activations that are not negative then give a map that is nowhere negative.)

    The projection is the first eigenvector of positions by positions, which is far smaller than the singular value
    decomposition, times the singular value. In float64, since squaring costs half of the digits.

    Args:
        model: In evaluation mode; takes (N, 3, H, W).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        enlarge: Brings maps of the grid to the size of the images; by itself it stretches them.

    Returns:
        Maps (N, H, W), not negative, the same for every class; zero where the layer is silent.

    Reference:
        Muhammad and Yeasin, Eigen-CAM: class activation map using principal components, 2020, section III.
    """
    activations = get_activations(model, layer, images)
    rows = activations.flatten(2).transpose(1, 2).double()
    squares, vectors = torch.linalg.eigh(rows @ rows.transpose(1, 2))
    projection = vectors[:, :, -1] * squares[:, -1:].clamp(min=0).sqrt()
    projection = projection * projection.sum(dim=1, keepdim=True).sign()
    maps = functional.relu(projection).view(len(images), *activations.shape[-2:])
    return enlarge(maps.to(activations.dtype), images.shape[-2:])


EIGEN_CAM = Method(
    name="eigen-cam",
    draw=eigen_cam,
    source="Muhammad and Yeasin, Eigen-CAM, 2020, arXiv 2008.00299, section III",
    on_grid=True,
)
