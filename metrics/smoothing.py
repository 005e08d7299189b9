"""Gaussian blur in float64: the same up to the last few bits on every device and in any batch."""

from math import ceil

import torch
from torch import Tensor

BLOCK_SIZE = 48
"""Number of rows that are blurred together."""


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Returns images blurred along the last two axes. The kernel ends at four sigma, and the border is replicated.

    The blur is linear and separable, so each axis is one matrix product. A convolution would round differently on each
    device and may run in TF32.

    Args:
        images: Any number of leading axes, then (H, W), real.
        sigma: Standard deviation in pixels, above 0.

    Returns:
        Blurred images of the same shape, float64.

    Example:
        >>> gaussian_blur(torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]), 0.5).squeeze().round(decimals=2).tolist()
        [0.0, 0.11, 0.79, 0.11, 0.0]
    """
    blurred = _blur_rows(images.double(), sigma)
    return _blur_rows(blurred.mT, sigma).mT.contiguous()


def _blur_rows(images: Tensor, sigma: float) -> Tensor:
    """Blurs along the last axis but one."""
    side, reach = images.shape[-2], ceil(4 * sigma)
    matrix = blur_matrix(side, sigma, images.device)
    # In blocks of rows, because most of the matrix is zero: a row of the result has only `reach` rows on each side.
    parts = [(start, slice(max(start - reach, 0), start + BLOCK_SIZE + reach)) for start in range(0, side, BLOCK_SIZE)]
    return torch.cat([matrix[i : i + BLOCK_SIZE, part] @ images[..., part, :] for i, part in parts], dim=-2)


def blur_matrix(side: int, sigma: float, device: torch.device) -> Tensor:
    """Returns the matrix (side, side), float64, with which :func:`gaussian_blur` blurs one axis.

    Example:
        >>> blur_matrix(2, 0.5, torch.device("cpu")).round(decimals=2).tolist()
        [[0.89, 0.11], [0.11, 0.89]]
    """
    radius = ceil(4 * sigma)
    offset = torch.arange(-radius, radius + 1, device=device)
    weight = torch.exp(-0.5 * (offset.double() / sigma) ** 2)
    weight = (weight / weight.sum()).expand(side, -1)
    # Offsets beyond the border read the border pixel, so their weights add up there.
    source = (torch.arange(side, device=device)[:, None] + offset).clamp(0, side - 1)
    return torch.zeros(side, side, dtype=torch.float64, device=device).scatter_add(1, source, weight)
