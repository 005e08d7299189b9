"""Upsampling of maps of a grid that puts each cell at the center of its receptive field."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from architectures.geometry import Axis, Geometry


@dataclass(frozen=True, slots=True)
class Placement:
    """Upsamples maps by linear interpolation between the true centers of the cells, along rows and columns.

    Beyond the first and the last center the map is constant, as in stretching. A center can be outside of the image.
    The interpolation then ends at the border of the image. Where the cells tile the image, this equals bilinear
    ``interpolate`` of torch with ``align_corners=False``.

    Attributes:
        geometry: Positions of the cells.
    """

    geometry: Geometry

    def __call__(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Upsamples maps (N, h, w) to the size (H, W) of the images.

        Raises:
            ValueError: The grid or the images differ in size from those of the geometry.

        Example:
            >>> row = Axis(first=0.0, spacing=2.0, cells=2, pixels=4)
            >>> Placement(Geometry(rows=row, columns=row))(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), (4, 4))[0, 0]
            tensor([0.0000, 0.5000, 1.0000, 1.0000])
        """
        axes = self.geometry.rows, self.geometry.columns
        cells, pixels = tuple(axis.cells for axis in axes), tuple(axis.pixels for axis in axes)
        if tuple(maps.shape[1:]) != cells or tuple(size) != pixels:
            raise ValueError(f"a grid of {cells} on {pixels} px cannot place {tuple(maps.shape[1:])} on {tuple(size)}")
        down, right = (_weights_on(axis, maps.dtype, maps.device) for axis in axes)
        return down @ maps @ right.T


@lru_cache(maxsize=16)
def _weights_on(axis: Axis, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Returns the weights on the device of the maps. Cached: attacks on maps and ScoreCAM place hundreds in a row."""
    with torch.inference_mode(mode=False):  # autograd refuses tensors of inference mode, wherever they come from
        return interpolation_weights(axis).to(device, dtype)


def interpolation_weights(axis: Axis) -> Tensor:
    """Computes the weight of each cell in every pixel, (pixels, cells), float64.

    Rows add up to 1. At most two weights of a row are not 0.

    Example:
        >>> interpolation_weights(Axis(first=0.0, spacing=2.0, cells=2, pixels=4)).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]
    """
    positions = (torch.arange(axis.pixels, dtype=torch.float64) - axis.first) / axis.spacing
    distance = (positions.clamp(0, axis.cells - 1)[:, None] - torch.arange(axis.cells, dtype=torch.float64)).abs()
    return (1 - distance).clamp(min=0)
