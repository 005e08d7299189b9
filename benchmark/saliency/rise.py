"""RISE: which pixels are shown when the network believes in the class."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from benchmark.saliency.masked import FORWARDS, masked_logits, rounding_at
from metrics.rounding import evident, log_odds, probability_gained

MASKS = 512
"""Masks, and forward passes, per image. The paper takes 4000 to 8000; fewer find the place, on a rougher ground."""
GRID = 7
"""Cells per side of a mask, before it is up-sampled."""
KEPT = 0.5
"""Probability that a cell is shown."""
SEED = 0


def rise(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """How the probability of the class rises with each pixel's being shown.

    The masks are the same for every image of a size. The mean probability is taken off first: otherwise the map
    stands on a pedestal as high as that mean, uneven where few masks happen to show a pixel, and no pixel is ever
    silent. The order of pixels is, in expectation, that of the paper. Where no two masks change the log-odds of the
    class by more than twice the rounding of a logit, the map is empty.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative; zero where showing a pixel does not help the class.

    Reference:
        Petsiuk et al., RISE: randomized input sampling for explanation of black-box models, 2018, section 3.
    """
    size = images.shape[-2:]
    answers = [
        torch.stack([masked_logits(model, image, masks.to(image.dtype)) for image in images])
        for masks in _masks(size, images.device)
    ]
    logits = torch.cat(answers, dim=1)
    weights = torch.stack([_gains(model, *each) for each in zip(images, logits, classes, strict=True)])
    weights = weights - weights.mean(dim=1, keepdim=True)
    maps = torch.zeros(len(images), *size, dtype=weights.dtype, device=images.device)
    # Drawn a second time, which is cheap, rather than kept: they are larger than the images.
    for part, masks in zip(weights.split(FORWARDS, dim=1), _masks(size, images.device), strict=True):
        maps += torch.einsum("nm,mhw->nhw", part, masks.double())
    return evident(functional.relu(maps / (MASKS * KEPT)).to(images.dtype))


def _gains(model: nn.Module, image: Tensor, logits: Tensor, label: Tensor) -> Tensor:
    """What each mask adds to the probability of the class over the first one, (M,); zero where all is rounding."""
    odds = log_odds(logits, label)
    changeless = odds.max() - odds.min() <= 2 * rounding_at(model, image, logits)
    return probability_gained(odds, odds[0]).masked_fill(changeless, 0.0)


def _masks(size: Sequence[int], device: torch.device) -> Iterator[Tensor]:
    """The masks, chunks of (M, H, W) in [0, 1]: random grids, up-sampled to a cell too much and cropped at random."""
    random = torch.Generator().manual_seed(SEED)
    cells = [-(-side // GRID) for side in size]
    for start in range(0, MASKS, FORWARDS):
        number = min(FORWARDS, MASKS - start)
        grids = (torch.rand(number, 1, GRID, GRID, generator=random) < KEPT).float()
        large = functional.interpolate(grids, size=[(GRID + 1) * cell for cell in cells], mode="bilinear")[:, 0]
        tops, lefts = (torch.randint(cell, (number,), generator=random).tolist() for cell in cells)
        crops = [
            mask[top : top + size[0], left : left + size[1]] for mask, top, left in zip(large, tops, lefts, strict=True)
        ]
        yield torch.stack(crops).to(device)


RISE = Method(
    name="rise",
    draw=rise,
    source="Petsiuk et al., RISE, 2018, arXiv 1806.07421, section 3",
)
