"""Drawing maps for held-out images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.tensors import map_batches, to_float
from benchmark.saliency import Enlarge, Method


def compute_maps(  # noqa: PLR0917 - what maps are made of
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, method: Method, enlarge: Enlarge | None = None
) -> NDArray[np.float16]:
    """Maps of a method for the given classes, each divided by its own maximum.

    Args:
        model: In evaluation mode, on the device of the images.
        layer: Name of the saliency layer.
        images: (N, 3, H, W), uint8.
        classes: The class to explain for each image, (N,).
        method: How to draw.
        enlarge: Places maps of a grid on the image; None stretches them.

    Returns:
        Maps (N, H, W) in [0, 1], float16; zero where the method finds nothing.
    """
    drawn = method.placed(enlarge)

    def draw(part: slice) -> Tensor:
        return scale_to_max(drawn(model, layer, to_float(images[part]), classes[part])).half()

    return np.asarray(map_batches(draw, images).numpy(), dtype=np.float16)


def scale_to_max(maps: Tensor) -> Tensor:
    """Maps (N, H, W), not negative, each divided by its own maximum; a zero map stays zero."""
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
