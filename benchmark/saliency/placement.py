"""Maps of a grid, enlarged so that each cell lies where the network looked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from architectures.geometry import Axis, Geometry


@dataclass(frozen=True, slots=True)
class Placement:
    """Enlarges maps by linear interpolation between the true centers of the cells, row by row and column by column.

    Beyond the first and the last center a map keeps its value, as stretching has it. A center can lie outside of the
    image; the interpolation then ends where the image does. Where the cells lie side by side and fill the image, this
    is ``interpolate`` of torch, bilinear, with ``align_corners=False``.

    Attributes:
        geometry: Where the cells lie.
    """

    geometry: Geometry

    def __call__(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Maps (N, h, w) brought to the size (H, W) of the images.

        Raises:
            ValueError: The grid or the images have another size than those of the geometry.

        Example:
            >>> row = Axis(first=0.0, spacing=2.0, cells=2, pixels=4)
            >>> Placement(Geometry(rows=row, columns=row))(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), (4, 4))[0, 0]
            tensor([0.0000, 0.5000, 1.0000, 1.0000])
        """
        axes = self.geometry.rows, self.geometry.columns
        cells, pixels = tuple(axis.cells for axis in axes), tuple(axis.pixels for axis in axes)
        if tuple(maps.shape[1:]) != cells or tuple(size) != pixels:
            raise ValueError(f"a grid of {cells} on {pixels} px cannot place {tuple(maps.shape[1:])} on {tuple(size)}")
        down, right = (shares(axis).to(maps) for axis in axes)
        return down @ maps @ right.T


def shares(axis: Axis) -> Tensor:
    """How much of each cell every pixel shows, (pixels, cells), float64; rows add up to 1 and hold two cells at most.

    Example:
        >>> shares(Axis(first=0.0, spacing=2.0, cells=2, pixels=4)).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]
    """
    places = (torch.arange(axis.pixels, dtype=torch.float64) - axis.first) / axis.spacing
    distance = (places.clamp(0, axis.cells - 1)[:, None] - torch.arange(axis.cells, dtype=torch.float64)).abs()
    return (1 - distance).clamp(min=0)
