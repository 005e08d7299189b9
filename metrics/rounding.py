"""Bounds on rounding error: one rule for maps that are empty and for model outputs that never change.

A difference of two outputs is evidence only if it exceeds the rounding error of the forward pass. Two estimates bound
that error, and the larger one holds.

- Derived: sums are formed in blocks, so a layer errs by one or two units in the last place (ulp) of its largest value.
  The errors of 100 layers are independent, so they add up to ten times as much. With a safety factor of three, this is
  64 ulp of the largest logit.
- Measured: the change of the output if every value of the image changes by one ulp. It matters for networks whose
  logits are small because large features cancel. Eight such changes are computed, and the bound is eight times the
  largest effect.
"""

from functools import lru_cache

import torch
from torch import Tensor

ROUNDING_ULPS = 64.0
"""Maximum difference of two sums, in units in the last place of the largest value."""
NUM_COPIES = 8
"""Number of copies of an image that are changed by one ulp."""
SAFETY_FACTOR = 8.0
"""Factor between the largest effect on these copies and the bound.

Metrics look at the differences of hundreds of outputs. The largest of those is about three times the largest of eight.
"""
SEED = 20270


def ulp_perturbations(image: Tensor) -> Tensor:
    """Returns perturbations of one unit in the last place, (1 + NUM_COPIES, C, H, W). The first is zero.

    The unit is that of 1, with random sign. It is the same for all images of one size.

    Args:
        image: An image, (C, H, W), float. Only its shape, type and device matter.

    Example:
        >>> perturbations = ulp_perturbations(torch.zeros(3, 2, 2))
        >>> len(perturbations), perturbations[0].any().item(), perturbations[1:].abs().unique().tolist()
        (9, False, [1.1920928955078125e-07])
    """
    return _ulp_perturbations(image.shape, image.dtype, image.device)


@lru_cache(maxsize=2)
def _ulp_perturbations(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Draws the perturbations of a size. Cached: methods ask for them image by image."""
    random = torch.Generator().manual_seed(SEED)
    with torch.inference_mode(mode=False):  # autograd refuses tensors of inference mode
        signs = torch.randint(2, (NUM_COPIES, *shape), generator=random).to(device, dtype) * 2 - 1
        return torch.finfo(dtype).eps * torch.cat([torch.zeros_like(signs[:1]), signs])


def compute_rounding_bound(copies: Tensor, dtype: torch.dtype, others: Tensor | None = None) -> Tensor:
    """Returns the maximum difference of two logits of a model that rounding alone explains.

    Args:
        copies: Logits of an image with each of its :func:`ulp_perturbations`, (..., 1 + NUM_COPIES, C).
        dtype: The type in which the model computes.
        others: Further logits to compare, (..., M, C).

    Returns:
        Bounds, (...), not negative, float64.

    Example:
        >>> compute_rounding_bound(torch.tensor([[1.0, -2.0]]).expand(9, 2), torch.float32).item()  # 64 ulp of 2
        1.52587890625e-05
    """
    copies = copies.double()
    largest = copies.abs().amax(dim=(-2, -1))
    if others is not None:
        largest = torch.maximum(largest, others.double().abs().amax(dim=(-2, -1)))
    spread = (copies - copies[..., :1, :]).abs().amax(dim=(-2, -1))
    return torch.maximum(ROUNDING_ULPS * torch.finfo(dtype).eps * largest, SAFETY_FACTOR * spread)


def evident(maps: Tensor, sizes: Tensor | None = None) -> Tensor:
    """Returns the maps, with zeros in place of a map that shows only the rounding error of its sums.

    A product of gradients is as exact as its factors, relative to its own size, however small it is. So the size of a
    map says nothing, but cancellation does. The largest value of a map must exceed 64 units in the last place of the
    largest sum of absolute terms. It must also exceed the range in which floating-point numbers lose digits.

    Args:
        maps: (N, H, W), not negative: sums of terms, rectified.
        sizes: Sums of the absolute values of the same terms, (N, H, W), possibly of another height and width. None if
            the maps are themselves sums of absolute values.

    Returns:
        Maps, (N, H, W). Maps that are not finite are returned unchanged.

    Example:
        >>> maps = torch.tensor([[[1e-8, 0.0]], [[1e-8, 0.0]], [[1e-36, 0.0]]])
        >>> sizes = torch.tensor([[[1.0, 1.0]], [[1e-8, 1e-8]], [[1e-36, 0.0]]])
        >>> evident(maps, sizes).amax(dim=(1, 2)).tolist()
        [0.0, 9.99999993922529e-09, 0.0]
    """
    info = torch.finfo(maps.dtype)
    terms = maps if sizes is None else sizes
    threshold = (ROUNDING_ULPS * info.eps * terms.amax(dim=(1, 2))).clamp(min=info.tiny / info.eps)
    return maps.masked_fill((maps.amax(dim=(1, 2)) <= threshold)[:, None, None], 0.0)


def log_odds(logits: Tensor, label: Tensor) -> Tensor:
    """Returns the log-odds of one class, (M,), float64, from logits (M, C). Infinite if there is no other class.

    Example:
        >>> log_odds(torch.tensor([[3.0, 1.0]]), torch.tensor(0)).tolist()
        [2.0]
    """
    wide = logits.double()
    own = torch.arange(wide.shape[1], device=wide.device) == label
    # Not by a mask, whose number of columns a GPU would have to report to the host.
    return wide.index_select(1, label.view(1))[:, 0] - wide.masked_fill(own, -torch.inf).logsumexp(dim=1)


def probability_gained(odds: Tensor, start: Tensor) -> Tensor:
    """Returns the probability at some log-odds minus the probability at the start.

    The result is exact where both probabilities are near 0 or near 1. In float64, 1 - 1e-20 equals 1, so near 1 the
    function subtracts the probabilities of the other classes.

    Example:
        >>> probability_gained(torch.tensor(51.0), torch.tensor(50.0)).item() > 0
        True
    """
    likely = start > 0
    one, other = torch.where(likely, -odds, odds).double(), torch.where(likely, -start, start).double()
    return torch.where(likely, -1.0, 1.0) * (one.sigmoid() - other.sigmoid())
