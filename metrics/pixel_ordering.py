"""In what order pixels, or parts of an image, are taken: the most salient first, equals by numbers drawn per image."""

import torch
from torch import Tensor


def pixel_steps_of(saliency: Tensor, ties: Tensor, steps: int) -> Tensor:
    """The step in which each pixel's turn comes, the most salient pixels in step 0.

    Args:
        saliency: Maps, (N, H, W), real; only their order counts.
        ties: Random numbers, (N, H, W), drawn for each image: the smaller goes first among pixels of equal saliency.
            (In raster order the top rows would always go first.)
        steps: Number of nearly equal steps, from 1 to H*W.

    Returns:
        Steps, (N, H, W), int32, from 0 to steps - 1.

    Example:
        >>> pixel_turns(torch.tensor([[[0.5, 0.9, 0.5]]]), torch.tensor([[[0.2, 0.3, 0.1]]]), steps=3).tolist()
        [[[2, 0, 1]]]
    """
    if not 1 <= steps <= saliency[0].numel():
        raise ValueError(f"steps is {steps}; it must lie between 1 and the number of pixels, {saliency[0].numel()}")
    ranks = _ranks(saliency.flatten(1), ties.flatten(1))
    return (ranks * steps // ranks.shape[1]).int().view_as(saliency)


def pixel_shares(steps: int, pixels: int, device: torch.device) -> Tensor:
    """Share of the pixels whose turn came in the first 0, 1, ..., K of K steps, (K+1,), float64.

    Example:
        >>> pixel_shares(2, 5, torch.device("cpu")).tolist()
        [0.0, 0.6, 1.0]
    """
    k = torch.arange(steps + 1, device=device)
    counts = (k * pixels + steps - 1) // steps  # the pixels of rank r with r * K // n < k
    return counts.double() / pixels


def part_ranks(totals: Tensor, sizes: Tensor, ties: Tensor) -> Tensor:
    """The rank of each part of an image, the part of the highest total first, absent parts last.

    Args:
        totals: What the parts are ordered by, (N, P), real.
        sizes: Pixels of each part, (N, P); a part without pixels is absent.
        ties: Random numbers, (N, P), drawn for each image: the smaller goes first among equal parts.

    Returns:
        Ranks, (N, P), from 0.

    Example:
        >>> part_ranks(torch.tensor([[1.0, 3.0, 3.0]]), torch.tensor([[4, 4, 4]]), torch.tensor([[0.1, 0.3, 0.2]]))
        tensor([[2, 1, 0]])
    """
    return _ranks(totals.masked_fill(sizes == 0, -torch.inf), ties + (sizes == 0) * 1e9)


def part_sums(values: Tensor, labels: Tensor, parts: int) -> Tensor:
    """Sum of the values (N, H, W) within each part, (N, P), float64; labels (N, H, W) run from 0 to parts - 1.

    Example:
        >>> part_sums(torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[[0, 1, 0]]]), 2).tolist()
        [[5.0, 2.0]]
    """
    empty = torch.zeros(len(values), parts, dtype=torch.float64, device=values.device)
    return empty.scatter_add(1, labels.flatten(1), values.double().flatten(1))


def _ranks(values: Tensor, ties: Tensor) -> Tensor:
    """Place of each value (N, n) in descending order, from 0."""
    shuffled = ties.argsort(dim=1, stable=True)
    ranked = values.gather(1, shuffled).argsort(dim=1, descending=True, stable=True)
    order = shuffled.gather(1, ranked)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)
