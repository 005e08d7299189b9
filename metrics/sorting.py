"""Sorted values, as fast as the device allows."""

import numpy as np
import torch
from torch import Tensor


def ascending(maps: Tensor) -> Tensor:
    """The values of each map (N, H, W) in ascending order, NaN last, (N, H*W), float64.

    Example:
        >>> ascending(torch.tensor([[[3.0, 1.0], [2.0, 1.0]]])).tolist()
        [[1.0, 1.0, 2.0, 3.0]]
    """
    values = maps.detach().double().flatten(1)
    if values.device.type == "cpu":  # numpy sorts with vector instructions, 15 times as fast as torch
        return torch.from_numpy(np.sort(values.numpy(), axis=1))
    return values.sort(dim=1).values


def levels(maps: Tensor) -> Tensor:
    """Whole numbers in the order of each map's values (N, H, W), equal where these are, (N, H*W), int64, below 2**62.

    In single precision they are the bits of the numbers, which makes sorts of them with something packed beside quick;
    in double precision there is no room beside the bits, and they are places among the different values. NaN has some
    place.

    Example:
        >>> levels(torch.tensor([[[0.5, -0.0, 0.5, 0.0]]], dtype=torch.float64)).tolist()
        [[1, 0, 1, 0]]
    """
    values = maps.detach().flatten(1)
    if not values.is_floating_point() or values.dtype == torch.float64:
        return _places(values.double())
    bits = (values.float() + 0.0).view(torch.int32)  # adding 0 makes -0 a 0
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()


def packed_ascending(values: Tensor, bit: Tensor) -> Tensor:
    """Twice each whole number, plus its bit, in ascending order, (N, n): among equals, those whose bit is set are last.

    Example:
        >>> packed_ascending(torch.tensor([[5, 3, 5]]), torch.tensor([[True, False, False]])).tolist()
        [[6, 10, 11]]
    """
    packed = values * 2
    packed += bit  # in place, as the sort is: large temporaries cost more than the arithmetic
    if packed.device.type == "cpu":
        packed.numpy().sort(axis=1)
        return packed
    return packed.sort(dim=1).values


def _places(values: Tensor) -> Tensor:
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1)) if values.device.type == "cpu" else values.argsort(1)
    ordered = values.gather(1, order)
    places = torch.zeros_like(order)
    places[:, 1:] = (ordered[:, 1:] > ordered[:, :-1]).cumsum(1)
    return torch.empty_like(order).scatter_(1, order, places)


def percentile(maps: Tensor, share: float) -> Tensor:
    """The value, (N,), below which a share of each map's pixels lie, interpolated as numpy does.

    (torch.quantile does the same by torch's own sort, which is slow on CPU.)

    Example:
        >>> percentile(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]), 0.9).item()
        2.7
    """
    values = ascending(maps)
    last = values.shape[1] - 1
    below = int(share * last)
    lower, upper = values[:, below], values[:, min(below + 1, last)]
    return lower + (share * last - below) * (upper - lower)
