"""EigenCAM: where the layer is active, whatever the class."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import get_activations, upsample


def eigen_cam(
    model: nn.Module, layer: str, images: Tensor, _classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Projects activations on their first principal direction, rectified and upsampled.

    The direction is the first right singular vector of the activations, as a matrix of positions by channels. As in
    the paper, they are not centered. A singular vector has no sign of its own. The sign here makes the sum of the map
    positive. So activations that are not negative give a map that is not negative before the rectification.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative, the same for every class. Zero where the activations are zero.

    Reference:
        Muhammad and Yeasin, Eigen-CAM: class activation map using principal components, 2020, section III.
    """
    activations = get_activations(model, layer, images)
    rows = activations.flatten(2).transpose(1, 2).double()
    # The eigenvectors of positions by positions are cheaper than a singular value decomposition: the projection is the
    # first of them times the singular value. In float64, since squaring loses half of the digits.
    squares, vectors = torch.linalg.eigh(rows @ rows.transpose(1, 2))
    projection = vectors[:, :, -1] * squares[:, -1:].clamp(min=0).sqrt()
    projection = projection * projection.sum(dim=1, keepdim=True).sign()
    maps = functional.relu(projection).view(len(images), *activations.shape[-2:])
    return upsample_fn(maps.to(activations.dtype), images.shape[-2:])


EIGEN_CAM = Method(
    name="eigen-cam",
    explain=eigen_cam,
    source="Muhammad and Yeasin, Eigen-CAM, 2020, arXiv 2008.00299, section III",
    uses_grid=True,
)
