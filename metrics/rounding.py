"""When a difference is no more than rounding: the one rule for empty maps and for answers that never change.

A difference of two answers is evidence only if it exceeds the rounding error of the forward pass. That error is
bounded in two ways, and the larger bound holds. Derived: sums are formed in blocks, so that a layer errs by a unit or
two in the last place of its largest value, and 100 layers, whose errors are independent, by ten times as much; with a
factor of three on top, 64 units of the largest logit. Measured: what becomes of the answer if every value of the image
changes by one unit in the last place. It tells of networks whose logits are small because large features cancel. Eight
such changes are tried, and eight times the largest effect is allowed.
"""

import torch
from torch import Tensor

ROUNDING = 64.0
"""Units in the last place of the largest value that two sums may differ by."""
COPIES = 8
"""Images changed by a unit in the last place."""
MARGIN = 8.0
"""How many times the largest effect of these changes is still rounding: differences of hundreds of answers are looked
at, whose largest is some three times that of eight."""
SEED = 20270


def nudges(like: Tensor) -> Tensor:
    """What to add to an image for itself and for copies a unit in the last place away, (1 + COPIES, C, H, W).

    The unit is that of 1, up or down at random, and the same for all images of a size.

    Args:
        like: An image, (C, H, W), float.

    Example:
        >>> found = nudges(torch.zeros(3, 2, 2))
        >>> found.shape[0], bool(found[0].any()), bool((found[1:].abs() == torch.finfo(torch.float32).eps).all())
        (9, False, True)
    """
    random = torch.Generator().manual_seed(SEED)
    signs = torch.randint(2, (COPIES, *like.shape), generator=random).to(like) * 2 - 1
    return torch.finfo(like.dtype).eps * torch.cat([torch.zeros_like(like)[None], signs])


def rounding_of(copies: Tensor, dtype: torch.dtype, others: Tensor | None = None) -> Tensor:
    """Most that two logits of a model may differ by through rounding alone.

    Args:
        copies: Logits of an image and of those that :func:`nudges` make of it, (..., 1 + COPIES, C).
        dtype: What the model computes in.
        others: Further logits that are to be compared, (..., M, C).

    Returns:
        (...), not negative, float64.

    Example:
        >>> rounding_of(torch.tensor([[1.0, -2.0]]).expand(9, 2), torch.float32).item()  # 64 units of the largest
        1.52587890625e-05
    """
    copies = copies.double()
    largest = copies.abs().amax(dim=(-2, -1))
    if others is not None:
        largest = torch.maximum(largest, others.double().abs().amax(dim=(-2, -1)))
    spread = (copies - copies[..., :1, :]).abs().amax(dim=(-2, -1))
    return torch.maximum(ROUNDING * torch.finfo(dtype).eps * largest, MARGIN * spread)


def evident(maps: Tensor, sizes: Tensor | None = None) -> Tensor:
    """Maps as they are, but zero where all that they show is the rounding of the sums that they are made of.

    A product of gradients is as exact, in relation to itself, as its factors, however small it is. So a map is not
    judged by its size, only by what it is the remainder of: its largest value must exceed 64 units in the last place of
    the largest sum of absolute terms. And it must lie above the range in which numbers lose their digits.

    Args:
        maps: (N, H, W), not negative: sums of terms, rectified.
        sizes: The same sums of the terms' absolute values, (N, H, W) of the same or another size; None for maps that
            are themselves sums of absolute values.

    Returns:
        (N, H, W); maps that are not finite stay as they are.

    Example:
        >>> maps = torch.tensor([[[1e-8, 0.0]], [[1e-8, 0.0]], [[1e-36, 0.0]]])
        >>> sizes = torch.tensor([[[1.0, 1.0]], [[1e-8, 1e-8]], [[1e-36, 0.0]]])
        >>> evident(maps, sizes).amax(dim=(1, 2)).tolist()
        [0.0, 9.99999993922529e-09, 0.0]
    """
    kind = torch.finfo(maps.dtype)
    terms = maps if sizes is None else sizes
    least = (ROUNDING * kind.eps * terms.amax(dim=(1, 2))).clamp(min=kind.tiny / kind.eps)
    return maps.masked_fill((maps.amax(dim=(1, 2)) <= least)[:, None, None], 0.0)


def log_odds(logits: Tensor, label: Tensor) -> Tensor:
    """Logarithm of the odds of one class, (M,), of logits (M, C), float64; infinite where there is no other class.

    Example:
        >>> log_odds(torch.tensor([[3.0, 1.0]]), torch.tensor(0)).tolist()
        [2.0]
    """
    wide = logits.double()
    own = torch.arange(wide.shape[1], device=wide.device) == label
    return wide[:, own][:, 0] - wide.masked_fill(own, -torch.inf).logsumexp(dim=1)


def probability_gained(odds: Tensor, start: Tensor) -> Tensor:
    """How much more probable a class is at some log-odds than at the start; exact where both are near 0 or near 1.

    (One less 1e-20 is one in float64: the probability of the rest is subtracted instead.)

    Example:
        >>> probability_gained(torch.tensor(51.0), torch.tensor(50.0)).item() > 0
        True
    """
    likely = start > 0
    one, other = torch.where(likely, -odds, odds).double(), torch.where(likely, -start, start).double()
    return torch.where(likely, -1.0, 1.0) * (one.sigmoid() - other.sigmoid())
