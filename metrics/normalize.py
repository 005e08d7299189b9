"""Normalization of maps to the range that the fuzzy metrics need."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.sharing import shared


@shared
def extremes(saliency: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the smallest and the largest value of each map (N, H, W), (N,) each. NaN for a map that has a NaN."""
    values = saliency.flatten(1)
    return values.amin(1), values.amax(1)  # on the CPU, 20 times as fast as aminmax along an axis


@shared
def finite(saliency: Tensor) -> Tensor:
    """Returns whether all values of each map (N, H, W) are finite, (N,). Other maps score NaN in every metric."""
    low, high = extremes(saliency)
    return low.isfinite() & high.isfinite()


@shared
def magnitude(saliency: Tensor) -> Tensor:
    """Returns the absolute values. Maps without negative values are returned themselves, with what is known of them."""
    return saliency if bool((extremes(saliency)[0] >= 0).all()) else saliency.abs()


def as_stored(saliency: Tensor) -> Tensor:
    """Returns maps in the precision of stored maps: divided by the maximum absolute value, in half precision.

    Smaller differences count as ties. If values differ only by rounding, their order is random and varies between
    processors, and ranks would amplify it.

    Args:
        saliency: Maps, (N, H, W), real.

    Returns:
        Maps, (N, H, W), float16, in [-1, 1]. A map that is not finite stays so.

    Example:
        >>> as_stored(torch.tensor([[[2.0, 2.0000002, 1.0]]])).tolist()
        [[[1.0, 1.0, 0.5]]]
    """
    values = saliency.double()
    largest = values.abs().amax(dim=(1, 2), keepdim=True)
    return (values / torch.where(largest > 0, largest, 1.0)).half()


@shared
def normalize(saliency: Tensor | NDArray[Any]) -> Tensor:
    """Scales each map linearly to [0, 1]: its minimum becomes 0 and its maximum 1.

    A constant map has no range. As in the published evaluation, it is only clipped to [0, 1]. So an all-zero Grad-CAM
    stays empty, and the baseline "0.5 everywhere" stays 0.5. A map with a value that is not finite becomes NaN.

    Args:
        saliency: Maps, (N, H, W), real, as a tensor or a NumPy array.

    Returns:
        Maps, (N, H, W), in [0, 1] or NaN. float64 stays float64, and all other types become float32.

    Reference:
        Jalaboi et al., arXiv 2302.12084, published evaluation code.

    Example:
        >>> normalize(torch.tensor([[[-1.0, 0.0, 3.0]], [[0.5, 0.5, 0.5]]])).tolist()
        [[[0.0, 0.25, 1.0]], [[0.5, 0.5, 0.5]]]
    """
    saliency = torch.as_tensor(saliency)
    values = saliency.double()
    low, high = (extreme.double()[:, None, None] for extreme in extremes(saliency))
    scale = torch.where(high > low, high - low, 1.0).masked_fill(~finite(saliency)[:, None, None], torch.nan)
    scaled = ((values - torch.where(high > low, low, 0.0)) / scale).clamp_(0, 1)
    return scaled if saliency.dtype == torch.float64 else scaled.float()
