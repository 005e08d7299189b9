"""Order in which pixels or parts of an image are perturbed: the most salient first, ties by random numbers."""

import torch
from torch import Tensor


def compute_pixel_steps(saliency: Tensor, ties: Tensor, steps: int) -> Tensor:
    """Returns the step that changes each pixel. The most salient pixels have step 0.

    Args:
        saliency: Maps, (N, H, W), real. Only the order of the values matters.
        ties: Random numbers for each image, (N, H, W). Among pixels of equal saliency, the smaller number comes first.
            (Raster order would always favor the top rows.)
        steps: Number of nearly equal steps, from 1 to H*W.

    Returns:
        Steps, (N, H, W), int32, from 0 to steps - 1.

    Raises:
        ValueError: The number of steps is out of range.

    Example:
        >>> compute_pixel_steps(torch.tensor([[[0.5, 0.9, 0.5]]]), torch.tensor([[[0.2, 0.3, 0.1]]]), steps=3).tolist()
        [[[2, 0, 1]]]
    """
    if not 1 <= steps <= saliency[0].numel():
        raise ValueError(f"steps is {steps}, but must be between 1 and the number of pixels, {saliency[0].numel()}")
    ranks = _ranks(saliency.flatten(1), ties.flatten(1))
    return (ranks * steps // ranks.shape[1]).int().view_as(saliency)


def pixel_fractions(steps: int, num_pixels: int, device: torch.device) -> Tensor:
    """Returns the fraction of the pixels that the first 0, 1, ..., K of K steps change, (K+1,), float64.

    Example:
        >>> pixel_fractions(2, 5, torch.device("cpu")).tolist()
        [0.0, 0.6, 1.0]
    """
    k = torch.arange(steps + 1, device=device)
    counts = (k * num_pixels + steps - 1) // steps  # the number of ranks r with r * K // n < k
    return counts.double() / num_pixels


def part_ranks(totals: Tensor, sizes: Tensor, ties: Tensor) -> Tensor:
    """Returns the rank of each part of an image. The highest total has rank 0, and absent parts come last.

    Args:
        totals: The values to order by, (N, P), real.
        sizes: Number of pixels of each part, (N, P). A part without pixels is absent.
        ties: Random numbers for each image, (N, P). Among equal parts, the smaller number comes first.

    Returns:
        Ranks, (N, P), from 0.

    Example:
        >>> part_ranks(torch.tensor([[1.0, 3.0, 3.0]]), torch.tensor([[4, 4, 4]]), torch.tensor([[0.1, 0.3, 0.2]]))
        tensor([[2, 1, 0]])
    """
    return _ranks(totals.masked_fill(sizes == 0, -torch.inf), ties + (sizes == 0) * 1e9)


def part_sums(values: Tensor, labels: Tensor, num_parts: int) -> Tensor:
    """Returns the sum of the values within each part, (N, P), float64.

    Args:
        values: (N, H, W), real.
        labels: Index of the part of each pixel, (N, H, W), from 0 to num_parts - 1.
        num_parts: Number of parts, P.

    Example:
        >>> part_sums(torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[[0, 1, 0]]]), 2).tolist()
        [[5.0, 2.0]]
    """
    sums = torch.zeros(len(values), num_parts, dtype=torch.float64, device=values.device)
    return sums.scatter_add(1, labels.flatten(1), values.double().flatten(1))


def _ranks(values: Tensor, ties: Tensor) -> Tensor:
    """Returns the rank of each value (N, n) in descending order, from 0."""
    # Two stable sorts: values that are equal stay in the order of their random numbers.
    shuffled = ties.argsort(dim=1, stable=True)
    ranked = values.gather(1, shuffled).argsort(dim=1, descending=True, stable=True)
    order = shuffled.gather(1, ranked)
    ranks = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, ranks)
