"""Do two maps order the pixels alike?"""

import torch
from torch import Tensor

from metrics.sorting import ascending


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's correlation of two maps over all pixels; equal values share the mean of their ranks.

    Args:
        first: Maps, (N, H, W), real.
        second: As many maps of the same size.

    Returns:
        Correlations, (N,), in [-1, 1], float64; NaN where one of the two is constant or not finite.

    Example:
        >>> one, other = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[0.1, 0.1, 0.9]]])
        >>> round(rank_correlation(one, other).item(), 3)
        0.866
    """
    one, other = _centered_ranks(first), _centered_ranks(second)
    spread = one.square().sum(1) * other.square().sum(1)
    scores = ((one * other).sum(1) / spread.sqrt()).clamp(-1, 1)  # 0/0 is NaN
    known = (first.isfinite() & second.isfinite()).flatten(1).all(1)
    return scores.masked_fill(~known, torch.nan)


def _centered_ranks(maps: Tensor) -> Tensor:
    """Twice the ranks (N, H*W) less their mean: whole numbers, so that sums are the same in any order."""
    values = maps.detach().double().flatten(1)
    line = ascending(maps)
    below, up_to = (torch.searchsorted(line, values, right=right) for right in (False, True))
    return (below + up_to - values.shape[1]).double()
