"""Computes saliency maps of held-out images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.tensors import map_batches, to_float
from benchmark.saliency import Method, UpsampleFn


def compute_maps(  # noqa: PLR0917 - the inputs of a map
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, method: Method, upsample_fn: UpsampleFn | None = None
) -> NDArray[np.float16]:
    """Computes maps of a method for the given classes, each divided by its own maximum.

    Args:
        model: In evaluation mode, on the device of the images.
        layer: Name of the target layer.
        images: (N, 3, H, W), uint8.
        classes: The class to explain for each image, (N,).
        method: The saliency method.
        upsample_fn: Upsamples maps of a grid to the size of the images. None stretches them.

    Returns:
        Maps (N, H, W) in [0, 1], float16. Zero where the method finds nothing.
    """
    explain = method.with_upsampling(upsample_fn)

    def compute(part: slice) -> Tensor:
        return scale_to_max(explain(model, layer, to_float(images[part]), classes[part])).half()

    return np.asarray(map_batches(compute, images).numpy(), dtype=np.float16)


def scale_to_max(maps: Tensor) -> Tensor:
    """Divides each map of (N, H, W), not negative, by its own maximum. A zero map stays zero."""
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
