"""The target layer of a run: the architecture's own, or that of a given stride."""

from functools import cache

import torch

from architectures import Architecture
from architectures.strides import layer_at_stride
from benchmark.errors import UserError


@cache
def find_target_layer(architecture: Architecture, grid_stride: int | None, image_size: int) -> str:
    """Returns the dotted name of the layer that CAM methods read.

    Args:
        architecture: The architecture.
        grid_stride: Stride of the grid in pixels. None takes the architecture's own layer.
        image_size: Side of the images in pixels.

    Raises:
        UserError: The architecture has no such layer.
    """
    if grid_stride is None:
        return architecture.target_layer
    with torch.random.fork_rng(devices=[]):  # building the network draws random weights
        network = architecture.build(2)
    try:
        return layer_at_stride(network, grid_stride, image_size)
    except ValueError as error:
        raise UserError(f"--grid-stride {grid_stride}: {architecture.name}: {error}; leave this network out") from None
