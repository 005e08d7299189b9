"""Rank correlation of two maps."""

import torch
from torch import Tensor

from metrics.sorting import ascending


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Returns Spearman's correlation of two maps over all pixels. Ties have the mean of their ranks.

    Args:
        first: Maps, (N, H, W), real.
        second: Maps, (N, H, W), real.

    Returns:
        Correlations, (N,), in [-1, 1], float64. NaN if one of the two maps is constant or not finite.

    Example:
        >>> one, other = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[0.1, 0.1, 0.9]]])
        >>> round(rank_correlation(one, other).item(), 3)
        0.866
    """
    one, other = _centered_ranks(first), _centered_ranks(second)
    spread = one.square().sum(1) * other.square().sum(1)
    scores = ((one * other).sum(1) / spread.sqrt()).clamp(-1, 1)  # 0/0 is NaN
    valid = (first.isfinite() & second.isfinite()).flatten(1).all(1)
    return scores.masked_fill(~valid, torch.nan)


def _centered_ranks(maps: Tensor) -> Tensor:
    """Returns twice the ranks (N, H*W) minus their mean: integers, so that sums are the same in any order."""
    values = maps.detach().double().flatten(1)
    ordered = ascending(maps)
    below, up_to = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (below + up_to - values.shape[1]).double()
