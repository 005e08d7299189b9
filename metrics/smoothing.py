"""Gaussian blur in float64: the same to the last few bits on every device and in any batch."""

from math import ceil

import torch
from torch import Tensor


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Images blurred along their last two axes; the kernel ends at four sigma, the border pixel is repeated.

    A blur is linear, so each axis is one matrix product. Convolutions would be the usual way, but they round
    differently by device and may run in TF32.

    Args:
        images: Any number of leading axes, then (H, W); real.
        sigma: Standard deviation in pixels, above 0.

    Returns:
        Blurred images of the same shape, float64.

    Example:
        >>> gaussian_blur(torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]), 0.5).squeeze().round(decimals=2).tolist()
        [0.0, 0.11, 0.79, 0.11, 0.0]
    """
    height, width = images.shape[-2:]
    rows, columns = (blur_matrix(side, sigma, images.device) for side in (height, width))
    return rows @ images.double() @ columns.T


def blur_matrix(side: int, sigma: float, device: torch.device) -> Tensor:
    """The matrix (side, side), float64, by which :func:`gaussian_blur` blurs a line of pixels.

    Example:
        >>> blur_matrix(2, 0.5, torch.device("cpu")).round(decimals=2).tolist()
        [[0.89, 0.11], [0.11, 0.89]]
    """
    reach = ceil(4 * sigma)
    offset = torch.arange(-reach, reach + 1, device=device)
    weight = torch.exp(-0.5 * (offset.double() / sigma) ** 2)
    weight = (weight / weight.sum()).expand(side, -1)
    source = (torch.arange(side, device=device)[:, None] + offset).clamp(0, side - 1)
    return torch.zeros(side, side, dtype=torch.float64, device=device).scatter_add(1, source, weight)
