"""What resolution alone costs: the best map that a grid can show of a mask."""

import torch
from torch import Tensor

from architectures.geometry import Geometry
from benchmark.saliency.placement import interpolation_weights

STEPS = 40
"""Three hundred steps raise the mean F1 by less than .002, on three data sets, at 96 to 224 px."""
RATE = 0.25
"""Size of the first step, in gray levels of a cell; the last one is nearly nothing."""
PIXELS = 2**20
"""Pixels of the masks that are looked at together."""


def compute_ceiling_maps(masks: Tensor, geometry: Geometry) -> Tensor:
    """Maps of a grid, placed on the image, whose fuzzy F1 against the masks is as high as an ascent finds.

    Of each mask by itself: a fixed number of steps up the slope of the F1, from the mask's mean over what each cell
    shows. After every step the map is stretched to fill [0, 1], as maps are before they are scored. The best map on
    the way is kept, so a grid can do at least so well. Nothing is drawn at random.

    Args:
        masks: (N, H, W), real, in [0, 1].
        geometry: Where the cells of the grid lie on an image of H x W pixels.

    Returns:
        Maps (N, H, W) in [0, 1], float32; of an empty mask, 0.

    Example:
        >>> from architectures.geometry import stretched
        >>> whole = Geometry(rows=stretched(2, 4), columns=stretched(2, 4))
        >>> best_of_grid(torch.ones(1, 4, 4), whole).unique().tolist()
        [1.0]
    """
    down, right = (
        interpolation_weights(axis).to(masks.device, torch.float32) for axis in (geometry.rows, geometry.columns)
    )
    chunk = max(1, PIXELS // max(1, masks[0].numel())) if len(masks) else 1
    parts = [_ascended(part.float(), down, right) for part in masks.split(chunk)]
    return torch.cat(parts) if parts else masks.float()


def _ascended(masks: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """The maps of a chunk; `down` (H, h) and `right` (W, w) are the shares of the cells."""
    marked = masks.sum(dim=(1, 2), keepdim=True)
    means = (down / down.sum(0).clamp(min=1e-6)).T @ masks @ (right / right.sum(0).clamp(min=1e-6))
    grids, speed = means, torch.zeros_like(means)
    best, highest = torch.zeros_like(masks), torch.full_like(marked, -1.0)
    for step in range(STEPS):
        grids, maps = _stretched(grids, down, right)
        size = (maps.sum(dim=(1, 2), keepdim=True) + marked).clamp(min=1e-12)
        scores = 2 * torch.minimum(maps, masks).sum(dim=(1, 2), keepdim=True) / size
        better = scores > highest
        best, highest = torch.where(better, maps, best), torch.where(better, scores, highest)
        # The slope of the F1 at each pixel, but for a factor that is the same for all: what is shared rises as long as
        # the map lies below the mask.
        slope = down.T @ (2 * (maps < masks) - scores) @ right
        slope = slope / slope.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        speed = 0.7 * speed + 0.3 * slope
        grids = (grids + RATE * (1 - step / STEPS) * speed).clamp(0, 1)
    return torch.where(marked > 0, best, 0.0)


def _stretched(grids: Tensor, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Grids, and their maps, such that the maps fill [0, 1]; constant ones are left as they are."""
    maps = down @ grids @ right.T
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    scale = torch.where(high > low, high - low, 1.0)
    low = torch.where(high > low, low, 0.0)
    return (grids - low) / scale, ((maps - low) / scale).clamp(0, 1)
