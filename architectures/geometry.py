"""Positions of the cells of a layer's grid on the image.

Pixels are counted from 0. A pixel index is the position of its center, so an image of H rows extends from -1/2 to
H - 1/2.

A 3 x 3 convolution of stride 2 with one pixel of padding reads pixels 2i - 1 to 2i + 1 for cell i. The center is pixel
2i. A grid that is stretched over the image shows the cell at 2i + 1/2. For five such layers the positions are 32i and
32i + 15 1/2. This module computes the centers for any network, from its linear surrogate
(:mod:`architectures.surrogate`).

If the value of every pixel is its own row (or column), the output of a cell of the surrogate is the mean row of its
receptive field: the centroid. Branches are weighted by their channels.

At the border, padding cuts off a part of that field, which would shift its centroid inward. The surrogate ignores the
border. The center of a cell then depends only on strides, kernels and padding. Centers are evenly spaced, and those at
the border can be outside of the image. They equal the centers of inner cells of an image of any size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from architectures.surrogate import LinearMode, with_kernel_energy, without_weights

TOLERANCE = 1e-3
"""Maximum deviation of centers from an even spacing, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One direction of a grid on an image.

    Attributes:
        first: Center of the first cell, in pixels.
        spacing: Distance between the centers of neighbors, in pixels. For a single cell it is the whole image.
        cells: Number of cells, at least 1.
        pixels: Number of pixels.
    """

    first: float
    spacing: float
    cells: int
    pixels: int

    @property
    def centers(self) -> Tensor:
        """Centers of all cells, (cells,), float64, in pixels.

        Example:
            >>> Axis(first=0.0, spacing=32.0, cells=3, pixels=96).centers.tolist()
            [0.0, 32.0, 64.0]
        """
        return self.first + self.spacing * torch.arange(self.cells, dtype=torch.float64)

    @property
    def displacement(self) -> float:
        """Mean shift of cells down (or right) if the grid is stretched over the image, in pixels.

        Example:
            >>> Axis(first=0.0, spacing=32.0, cells=3, pixels=96).displacement
            15.5
        """
        return (self.pixels - 1) / 2 - float(self.centers.mean())


def stretched(cells: int, pixels: int) -> Axis:
    """Returns the cells of a grid that is stretched over the image: adjacent, equally large, and filling it.

    Example:
        >>> stretched(3, 96).centers.tolist()
        [15.5, 47.5, 79.5]
    """
    return Axis(first=(pixels / cells - 1) / 2, spacing=pixels / cells, cells=cells, pixels=pixels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """A grid on an image: its rows and its columns."""

    rows: Axis
    columns: Axis


def grid_geometry(network: nn.Module, layer: str, size: Sequence[int], *, effective: bool = False) -> Geometry:
    """Computes the positions of the cells of a layer's grid on an image.

    A copy without weights runs once, on the CPU. The network is neither run nor changed.

    The center of a receptive field depends on the architecture alone. Where kernels are trained, their energy need not
    be centered. Networks learn to undo a shift that their padding causes, since flipped images must give the same
    answer. The center of the effective receptive field takes that into account.

    Args:
        network: Takes images (N, 3, H, W).
        layer: Dotted name of a module inside it with output (N, K, h, w).
        size: Height and width of the image in pixels.
        effective: Whether to compute centers of the effective receptive fields, by the energy of the trained kernels.
            Otherwise all kernels are uniform, and the weights do not matter.

    Returns:
        Centers of the rows and columns of the grid, in pixels of the image.

    Raises:
        ValueError: The layer has no grid, or the surrogate is not linear, so that the geometry is unknown.

    Example:
        >>> halving = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        >>> grid_geometry(nn.Sequential(halving, nn.ReLU()), "1", (96, 96)).rows
        Axis(first=0.0, spacing=2.0, cells=48, pixels=96)
    """
    ramps = _ramps(size)
    with torch.no_grad():
        surrogate = with_kernel_energy(network) if effective else without_weights(network)
        output = _output(surrogate, layer, ramps)
    if output.ndim != 4 or not output.is_floating_point() or len(output) != len(ramps):
        raise ValueError(f"layer {layer!r} puts out {tuple(output.shape)}, no grid (N, K, h, w)")
    # Differences to the zero image remove all biases. Responses to the ramps, divided by that to ones, are centroids.
    _, one, down, right, both = output - output[0]
    scale = one.abs().amax()
    if not bool((one.mean(0) > 1e-6 * scale).all()) or not bool(output.isfinite().all()):
        raise ValueError(f"layer {layer!r}: its linear surrogate does not respond to the image")
    if float((2 * down + 3 * right - both).abs().amax() / scale) * max(size) > TOLERANCE:
        raise ValueError(f"layer {layer!r}: its surrogate is not linear; a module in front of it is not understood")
    rows = _axis(max(size) * (down.mean(0) / one.mean(0)), size[0], layer)
    columns = _axis(max(size) * (right.mean(0) / one.mean(0)).T, size[1], layer)
    return Geometry(rows=rows, columns=columns)


def _ramps(size: Sequence[int]) -> Tensor:
    """Returns images (5, 3, H, W): zeros, ones, the row of each pixel, its column, and 2 row + 3 column.

    The last one tests linearity.
    """
    down, right = (torch.arange(side, dtype=torch.float64) / max(size) for side in size)
    ramps = torch.stack(
        [
            torch.zeros(*size, dtype=torch.float64),
            torch.ones(*size, dtype=torch.float64),
            down[:, None].expand(*size),
            right.expand(*size),
            2 * down[:, None] + 3 * right,
        ]
    )
    return ramps[:, None].repeat(1, 3, 1, 1)


def _axis(centers: Tensor, pixels: int, layer: str) -> Axis:
    """Fits an axis to centers (cells, number of measurements), which must be evenly spaced."""
    mean = centers.mean(1)
    cells = len(mean)
    spacing = float(mean[-1] - mean[0]) / (cells - 1) if cells > 1 else float(pixels)
    axis = Axis(first=_rounded(float(mean[0])), spacing=_rounded(spacing), cells=cells, pixels=pixels)
    if float((centers - axis.centers[:, None]).abs().amax()) > TOLERANCE:
        raise ValueError(f"layer {layer!r}: the cells of its grid are not evenly spaced")
    return axis


def _rounded(pixels: float) -> float:
    """Removes rounding errors of the last digits, so that keys and records do not depend on the machine."""
    return round(pixels, 4) + 0.0


class _ReachedError(Exception):
    """The layer has run. The rest of the network need not run."""


def _output(network: nn.Module, layer: str, images: Tensor) -> Tensor:
    """Returns the output of a layer of the surrogate."""
    outputs: list[Tensor] = []

    def capture(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.append(output.clone())
        raise _ReachedError

    network.get_submodule(layer).register_forward_hook(capture)
    try:
        with LinearMode():
            network(images)
    except _ReachedError:
        return outputs[0]
    except Exception as error:  # noqa: BLE001 - a network's own code may raise anything
        raise ValueError(f"layer {layer!r}: its linear surrogate fails: {error}") from None
    raise ValueError(f"layer {layer!r} does not run")
