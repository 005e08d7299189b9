"""The last layer of a network whose grid has a given stride."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from architectures.groups import copy_without_weights, outer_blocks
from architectures.network import Network


def layer_at_stride(network: nn.Module, stride: int, side: int) -> str:
    """Finds the last block whose output grid has a stride, such as 16 for a grid of a sixteenth of the side.

    Blocks are the outermost modules that are not just lists of modules, such as a bottleneck of a ResNet. Their outputs
    are features that the next blocks read. The grid of a transformer's tokens counts as one. Strides are ratios of
    sides, rounded to powers of two, because convolutions without padding lose a few pixels.

    A copy of the network without weights runs once, on the meta device. The network itself is neither run nor changed.

    Args:
        network: Takes images (N, 3, H, W).
        stride: In pixels, a power of two.
        side: Side in pixels of the images.

    Returns:
        The dotted name of the module.

    Raises:
        ValueError: No block has a grid of this stride, or only one that has its channels last.

    Example:
        >>> halving = [nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(5)]
        >>> layer_at_stride(nn.Sequential(*halving), 16, 96)
        '3'
    """
    outputs = list(_outputs(network, side))
    strides = [(name, _stride(shape, side)) for name, shape in outputs]
    layers = [name for name, found in strides if found == stride]
    if not layers:
        found = sorted({value for _, value in strides if value})
        raise ValueError(f"no block has a grid of stride {stride} at {side} px, only of {found}")
    return layers[-1]


def _outputs(network: nn.Module, side: int) -> Iterator[tuple[str, torch.Size]]:
    """Yields the blocks that run exactly once, with the shape of their output, in the order in which they finish."""
    twin = copy_without_weights(network)
    shapes: dict[nn.Module, list[torch.Size]] = {}

    def record(module: nn.Module, _inputs: tuple[object, ...], output: object) -> None:
        shapes.setdefault(module, []).append(output.shape if isinstance(output, Tensor) else torch.Size())

    blocks = list(outer_blocks(getattr(twin, "body", twin)))
    if isinstance(twin, Network) and twin.grid is not None:
        blocks.append(twin.grid)
    for block in blocks:
        block.register_forward_hook(record)
    with torch.no_grad():
        twin(torch.empty(1, 3, side, side, device="meta"))
    names = {module: name for name, module in twin.named_modules()}
    for module, runs in shapes.items():
        if len(runs) == 1:
            yield names[module], runs[0]


def _stride(shape: torch.Size, side: int) -> int:
    """Returns the stride of a square grid (N, K, h, w), and 0 for everything else."""
    if len(shape) != 4 or shape[2] != shape[3] or shape[2] < 2:
        return 0
    return 1 << max(round(math.log2(side / shape[2])), 0)
