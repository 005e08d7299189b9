"""Sorted values, as fast as the device allows."""

import numpy as np
import torch
from torch import Tensor


def ascending(maps: Tensor) -> Tensor:
    """Returns the values of each map (N, H, W) in ascending order, NaN last, (N, H*W), float64.

    Example:
        >>> ascending(torch.tensor([[[3.0, 1.0], [2.0, 1.0]]])).tolist()
        [[1.0, 1.0, 2.0, 3.0]]
    """
    values = maps.detach().double().flatten(1)
    if values.device.type == "cpu":  # numpy sorts with vector instructions, 15 times as fast as torch
        return torch.from_numpy(np.sort(values.numpy(), axis=1))
    return values.sort(dim=1).values


def sort_keys(maps: Tensor) -> Tensor:
    """Returns integers that order as the values of each map (N, H, W) do, (N, H*W), int64, below 2**62.

    Equal values have equal keys. In single precision, the key is the bit pattern of the value. So a bit can be packed
    into the key, and one integer sort is enough. In double precision the pattern leaves no room for that bit, and the
    key is the rank among the distinct values. NaN has an arbitrary key.

    Example:
        >>> sort_keys(torch.tensor([[[0.5, -0.0, 0.5, 0.0]]], dtype=torch.float64)).tolist()
        [[1, 0, 1, 0]]
    """
    values = maps.detach().flatten(1)
    if not values.is_floating_point() or values.dtype == torch.float64:
        return _dense_ranks(values.double())
    bits = (values.float() + 0.0).view(torch.int32)  # adding 0 turns -0 into 0
    # IEEE 754: positive floats order as their bits do, negative ones in reverse.
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()


def packed_ascending(keys: Tensor, bit: Tensor) -> Tensor:
    """Returns 2 * key + bit in ascending order, (N, n). Among equal keys, those whose bit is set come last.

    Example:
        >>> packed_ascending(torch.tensor([[5, 3, 5]]), torch.tensor([[True, False, False]])).tolist()
        [[6, 10, 11]]
    """
    packed = keys * 2
    packed += bit  # in place, as the sort is: large temporaries cost more than the arithmetic
    if packed.device.type == "cpu":
        packed.numpy().sort(axis=1)
        return packed
    return packed.sort(dim=1).values


def _dense_ranks(values: Tensor) -> Tensor:
    """Returns the rank of each value (N, n) among the distinct values of its row, from 0."""
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1)) if values.device.type == "cpu" else values.argsort(1)
    ordered = values.gather(1, order)
    ranks = torch.zeros_like(order)
    ranks[:, 1:] = (ordered[:, 1:] > ordered[:, :-1]).cumsum(1)
    return torch.empty_like(order).scatter_(1, order, ranks)


def percentile(maps: Tensor, fraction: float) -> Tensor:
    """Returns the value below which a fraction of the pixels of each map falls, (N,), interpolated as numpy does.

    (torch.quantile returns the same, but uses torch's own sort, which is slow on the CPU.)

    Example:
        >>> percentile(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]), 0.9).item()
        2.7
    """
    values = ascending(maps)
    last = values.shape[1] - 1
    below = int(fraction * last)
    lower, upper = values[:, below], values[:, min(below + 1, last)]
    return lower + (fraction * last - below) * (upper - lower)
