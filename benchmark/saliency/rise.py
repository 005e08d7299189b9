"""RISE: which pixels are visible when the probability of the class is high."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from benchmark.saliency.masked import MAX_BATCH_SIZE, masked_logits, rounding_at
from metrics.rounding import evident, log_odds, probability_gained

NUM_MASKS = 512
"""Number of masks, and of forward passes, per image. The paper uses 4000 to 8000. Fewer masks give noisier maps."""
GRID = 7
"""Cells per side of a mask before upsampling."""
SHOW_PROBABILITY = 0.5
"""Probability that a cell is visible."""
SEED = 0


def rise(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Computes how the probability of the class rises when a pixel is visible.

    The masks are the same for every image of a size. The mean probability is subtracted first. Otherwise it would add
    an offset to all pixels, uneven where few masks show a pixel, and no pixel would ever be 0. In expectation the order
    of pixels is that of the paper. The map is empty where all masks give log-odds of the class that differ by at most
    twice the rounding error of a logit.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative. Zero where a visible pixel does not raise the probability.

    Reference:
        Petsiuk et al., RISE: randomized input sampling for explanation of black-box models, 2018, section 3.
    """
    size = images.shape[-2:]
    chunks = [
        torch.stack([masked_logits(model, image, masks.to(image.dtype)) for image in images])
        for masks in _masks(size, images.device)
    ]
    logits = torch.cat(chunks, dim=1)
    weights = torch.stack([_gains(model, *inputs) for inputs in zip(images, logits, classes, strict=True)])
    weights = weights - weights.mean(dim=1, keepdim=True)
    maps = torch.zeros(len(images), *size, dtype=weights.dtype, device=images.device)
    # The masks are larger than the images. Generating them a second time is cheaper than storing them.
    for part, masks in zip(weights.split(MAX_BATCH_SIZE, dim=1), _masks(size, images.device), strict=True):
        maps += torch.einsum("nm,mhw->nhw", part, masks.double())
    return evident(functional.relu(maps / (NUM_MASKS * SHOW_PROBABILITY)).to(images.dtype))


def _gains(model: nn.Module, image: Tensor, logits: Tensor, label: Tensor) -> Tensor:
    """Computes the gain in probability of each mask over the first one, (M,). Zero where all gains are rounding."""
    odds = log_odds(logits, label)
    unchanged = odds.max() - odds.min() <= 2 * rounding_at(model, image, logits)
    return probability_gained(odds, odds[0]).masked_fill(unchanged, 0.0)


def _masks(size: Sequence[int], device: torch.device) -> Iterator[Tensor]:
    """Yields masks in chunks (M, H, W) in [0, 1]: random grids, upsampled to one extra cell and cropped at random."""
    random = torch.Generator().manual_seed(SEED)
    cells = [-(-side // GRID) for side in size]
    for start in range(0, NUM_MASKS, MAX_BATCH_SIZE):
        num_masks = min(MAX_BATCH_SIZE, NUM_MASKS - start)
        grids = (torch.rand(num_masks, 1, GRID, GRID, generator=random) < SHOW_PROBABILITY).float()
        large = functional.interpolate(grids, size=[(GRID + 1) * cell for cell in cells], mode="bilinear")[:, 0]
        tops, lefts = (torch.randint(cell, (num_masks,), generator=random).tolist() for cell in cells)
        crops = [
            mask[top : top + size[0], left : left + size[1]] for mask, top, left in zip(large, tops, lefts, strict=True)
        ]
        yield torch.stack(crops).to(device)


RISE = Method(
    name="rise",
    explain=rise,
    source="Petsiuk et al., RISE, 2018, arXiv 1806.07421, section 3",
)
