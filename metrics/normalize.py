"""Bringing maps to the scale that the fuzzy metrics need."""

import torch
from torch import Tensor


def finite(saliency: Tensor) -> Tensor:
    """Whether each map (N, H, W) has finite values only, (N,); every other map scores NaN in every metric."""
    return saliency.isfinite().flatten(1).all(1)


def normalize(saliency: Tensor) -> Tensor:
    """Each map stretched to fill [0, 1]: its minimum becomes 0 and its maximum 1.

    A constant map has no range to stretch. As in the published evaluation it stays as it is, clipped to [0, 1]: an
    all-zero Grad-CAM stays empty, and the baseline "0.5 everywhere" stays 0.5. A map with a value that is not
    finite becomes NaN everywhere.

    Args:
        saliency: Maps, (N, H, W), any real values.

    Returns:
        Maps, (N, H, W), in [0, 1] or NaN; float64 stays float64, all else becomes float32.

    Reference:
        Jalaboi et al., arXiv 2302.12084, published evaluation code.

    Example:
        >>> normalize(torch.tensor([[[-1.0, 0.0, 3.0]], [[0.5, 0.5, 0.5]]])).tolist()
        [[[0.0, 0.25, 1.0]], [[0.5, 0.5, 0.5]]]
    """
    values = saliency.double()
    low, high = (extreme[:, None, None] for extreme in values.flatten(1).aminmax(dim=1))
    stretched = torch.where(high > low, (values - low) / (high - low), values.clamp(0, 1))
    stretched = stretched.masked_fill(~finite(saliency)[:, None, None], torch.nan)
    return stretched if saliency.dtype == torch.float64 else stretched.float()
