"""Pixels by their value: sorted values, and levels of equal values, as fast as the device allows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metrics.normalize import finite
from metrics.sharing import shared

MAGNITUDE_BITS = 0x7FFF
"""All bits of a number of half precision but its sign. As an integer, they order as the absolute values do."""
ONE, LARGEST = 0x3C00, 0x7BFF
"""These bits of the number 1, and of the largest finite number."""


MAX_LEVELS_PER_PIXEL = 4
"""Maximum number of levels of half precision per pixel of a map. Smaller maps have too many of them and are sorted."""
POSITION_BITS = 31
"""Number of bits of the position of a pixel in its map, behind 32 bits of its value."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The level of each pixel: equal values have equal levels, and a larger value has a higher level.

    A level may have no pixels.

    Attributes:
        index: (N, H*W), int64, from 0: the level, plus the number of levels times the row. The level of a pixel that is
            not finite is arbitrary.
        num_levels: Number of levels of each map.
    """

    index: Tensor
    num_levels: int

    def count(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Counts the pixels of each level that are outside and inside of a mask (N, H, W), (N, L) each, int64."""
        num_bins = len(self.index) * self.num_levels
        bins = self.index + mask.flatten(1) * num_bins
        outside, inside = torch.bincount(bins.flatten(), minlength=2 * num_bins).view(2, -1, self.num_levels)
        return outside, inside


@shared
def levels(maps: Tensor) -> Levels:
    """Returns the level of each pixel of maps (N, H, W).

    Maps in half precision, as the benchmark stores them, have few levels: their bit patterns. Other maps are sorted,
    and a level is a rank among the distinct values.

    Example:
        >>> levels(torch.tensor([[[0.1, -0.0, 0.1, 0.0]]], dtype=torch.float64)).index.tolist()
        [[1, 0, 1, 0]]
    """
    codes = _half_codes(maps)
    if codes is None:
        ranks = dense_ranks(in_single_or_double(maps.detach()).flatten(1))
        return _with_rows(ranks, ranks.shape[1])
    low, high = _code_range(codes)
    return _with_rows(codes.long() - low, high - low + 1)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values of maps, without the places of their pixels.

    Attributes:
        values: In ascending order, (N, L), float64. The same value may be there several times.
        counts: Number of pixels of each value, (N, L) or (1, L), int64. It may be 0.
        up_to: Number of pixels of this and all earlier values, (N, L) or (1, L), int64.
        num_pixels: Number of pixels of each map.
    """

    values: Tensor
    counts: Tensor
    up_to: Tensor
    num_pixels: int

    def value_at(self, position: Tensor | int) -> Tensor:
        """Returns the value at a position, from 0, of the sorted pixels of each map, (N, 1). One for all, or (N,)."""
        # Not by as_tensor, which would copy a number to the device.
        if isinstance(position, int):
            position = torch.full((len(self.values),), position, device=self.values.device)
        up_to = self.up_to[0] if len(self.up_to) == 1 else self.up_to
        return self.values.gather(1, torch.searchsorted(up_to, position[:, None], right=True))

    def percentile(self, fraction: float) -> Tensor:
        """Returns the value below which a fraction of the pixels of each map falls, (N,), interpolated as numpy does.

        (torch.quantile returns the same, but uses torch's own sort, which is slow on the CPU.)

        Example:
            >>> distribution(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])).percentile(0.9).item()
            2.7
        """
        last = self.num_pixels - 1
        below = int(fraction * last)
        lower, upper = (self.value_at(position)[:, 0] for position in (below, min(below + 1, last)))
        return lower + (fraction * last - below) * (upper - lower)

    def rank_weights(self) -> Tensor:
        """Returns the sum over the pixels of each value of 2 i - n - 1, where i is the rank, (N, L) or (1, L).

        The sum of their products with the values is half the sum of |x_i - x_j| over all ordered pairs of pixels.

        Example:
            >>> distribution(torch.tensor([[[0.3, 0.1, 0.2]]])).rank_weights().tolist()
            [[-2, 0, 2]]
        """
        return self.counts * (2 * self.up_to - self.counts - self.num_pixels)


@shared
def distribution(maps: Tensor) -> Distribution:
    """Returns the distribution of the values of maps (N, H, W), which are finite."""
    codes = _half_codes(maps)
    if codes is None:
        values = ascending(maps)
        positions = torch.arange(1, values.shape[1] + 1, device=values.device)[None]
        return Distribution(values, torch.ones_like(positions), positions, values.shape[1])
    pixels = levels(maps)
    low, high = _code_range(codes)
    all_codes = torch.arange(low, high + 1, device=maps.device)
    magnitudes = all_codes.abs().short().view(torch.float16).double()
    values = torch.where(all_codes < 0, -magnitudes, magnitudes).expand(len(maps), -1)
    num_bins = len(maps) * pixels.num_levels
    counts = torch.bincount(pixels.index.flatten(), minlength=num_bins).view(-1, pixels.num_levels)
    return Distribution(values, counts, counts.cumsum(1), maps[0].numel())


@shared
def count_levels(maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Counts the pixels of each level of maps (N, H, W) outside and inside of a mask (N, H, W), (N, L) each, int64."""
    return levels(maps).count(mask)


@shared
def ascending(maps: Tensor) -> Tensor:
    """Returns the values of each map (N, H, W) in ascending order, NaN last, (N, H*W), float64.

    Example:
        >>> ascending(torch.tensor([[[3.0, 1.0], [2.0, 1.0]]])).tolist()
        [[1.0, 1.0, 2.0, 3.0]]
    """
    values = in_single_or_double(maps.detach().flatten(1))
    if values.device.type == "cpu":  # numpy sorts with vector instructions, 15 times as fast as torch
        return torch.from_numpy(np.sort(values.numpy(), axis=1)).double()
    return values.sort(dim=1).values.double()


def in_single_or_double(values: Tensor) -> Tensor:
    """Returns the values in single precision if that is exact, else in double.

    Half of the bits are sorted in half of the time. (numpy sorts half precision without vector instructions.)
    """
    return values.float() if values.dtype in {torch.float16, torch.bfloat16, torch.float32} else values.double()


def dense_ranks(values: Tensor) -> Tensor:
    """Returns the rank of each value (N, n) among the distinct values of its row, from 0.

    Example:
        >>> dense_ranks(torch.tensor([[0.5, 0.1, 0.5]])).tolist()
        [[1, 0, 1]]
    """
    order, is_new = _order_single(values) if values.dtype == torch.float32 else _order(values)
    return torch.empty_like(order).scatter_(1, order, is_new.cumsum(1))


def _order(values: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the order (N, n) that sorts each row, and whether each sorted value is larger than the one before."""
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1)) if values.device.type == "cpu" else values.argsort(1)
    ordered = values.gather(1, order)
    is_new = torch.zeros_like(ordered, dtype=torch.bool)
    is_new[:, 1:] = ordered[:, 1:] > ordered[:, :-1]
    return order, is_new


def _order_single(values: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the same for single precision. Integers of value and position are sorted, twice as fast as an order."""
    bits = (values + 0.0).view(torch.int32)  # adding 0 turns -0 into 0
    # IEEE 754: positive floats order as their bits do, negative ones in reverse.
    keys = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    packed = (keys << POSITION_BITS) + torch.arange(values.shape[1], device=values.device)
    packed = torch.from_numpy(np.sort(packed.numpy(), axis=1)) if packed.device.type == "cpu" else packed.sort(1).values
    keys = packed >> POSITION_BITS
    is_new = torch.zeros_like(keys, dtype=torch.bool)
    is_new[:, 1:] = keys[:, 1:] > keys[:, :-1]
    return packed & ((1 << POSITION_BITS) - 1), is_new


def above(values: Tensor, thresholds: Tensor) -> Tensor:
    """Returns whether each value (N, n) is above the threshold (N, 1) of its row, of the same type."""
    if values.device.type == "cpu":  # numpy compares 15 times as fast as torch
        return torch.from_numpy(values.detach().numpy() > thresholds.numpy())
    return values > thresholds


def equal(values: Tensor, others: Tensor) -> Tensor:
    """Returns whether each value (N, n) equals the other one (N, 1) of its row, of the same type."""
    if values.device.type == "cpu":
        return torch.from_numpy(values.detach().numpy() == others.numpy())
    return values == others


def count(marked: Tensor) -> Tensor:
    """Returns the number of marked pixels of each row, (N,), int64, from (N, n), boolean."""
    if marked.device.type == "cpu":  # numpy counts six times as fast as torch sums bytes, and 20 times as booleans
        return torch.tensor([np.count_nonzero(row) for row in marked.numpy()])
    return marked.sum(1)


def _with_rows(levels_of_pixels: Tensor, num_levels: int) -> Levels:
    rows = torch.arange(len(levels_of_pixels), device=levels_of_pixels.device)[:, None]
    return Levels(levels_of_pixels + num_levels * rows, num_levels)


@shared
def _half_codes(maps: Tensor) -> Tensor | None:
    """Returns integers (N, H*W) that order as the values do, if all values are numbers of half precision. Else None.

    None also for maps with far fewer pixels than there are such numbers, and on a GPU: it sorts fast, while each
    question about the values would make the host wait.

    The code is the bit pattern, and the negative one for negative values. Maps that are not finite count as zero.
    """
    if maps.device.type != "cpu" or not maps.is_floating_point() or maps[0].numel() * MAX_LEVELS_PER_PIXEL < ONE:
        return None
    values, valid = maps.detach().flatten(1), finite(maps)
    if not bool(valid.all()):
        values = values.masked_fill(~valid[:, None], 0.0)
    half = values.half()
    if not torch.equal(half.to(values.dtype), values):
        return None
    bits = half.view(torch.int16)
    codes = bits if int(bits.amin()) >= 0 else torch.where(bits < 0, -(bits & MAGNITUDE_BITS), bits)
    low, high = _code_range(codes)
    return codes if high - low <= MAX_LEVELS_PER_PIXEL * codes.shape[1] else None


def _code_range(codes: Tensor) -> tuple[int, int]:
    """Returns the lowest and highest code. Maps in [0, 1] have the same range, so that their sums have equal terms."""
    low, high = int(codes.amin()), int(codes.amax())
    return (0, ONE) if low >= 0 and high <= ONE else (-LARGEST, LARGEST)
