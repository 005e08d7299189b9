"""Augmentation on the device, by changes that should not change the diagnosis."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmark.runtime.tensors import upload


def build_augmentation() -> nn.Module:
    """Builds random flips, rotations, zooms and changes of brightness and contrast, drawn once per batch."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            RotationAndZoom(degrees=20, scale=(0.8, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
        ]
    )


class RotationAndZoom(v2.RandomAffine):
    """torchvision's rotation and zoom about the center, with black corners, to the bit.

    torchvision sends three small tensors to the device in each call, and the host waits for each. This class sends one
    and does not wait.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Applies drawn parameters to images (N, C, H, W), or to masks (N, H, W) by the nearest pixel."""
        is_mask = isinstance(inpt, tv_tensors.Mask)
        values = inpt.as_subclass(Tensor)
        planes = values[None] if is_mask else values
        grid = _inverse_grid(planes, math.radians(params["angle"]), params["scale"])
        moved = _sample(planes, grid, "nearest" if is_mask else "bilinear")
        return tv_tensors.wrap(moved[0] if is_mask else moved, like=inpt)


def _inverse_grid(images: Tensor, angle: float, scale: float) -> Tensor:
    """Computes where each pixel comes from, (1, H, W, 2), from -1 at the left and upper rim to 1."""
    height, width = images.shape[-2:]
    rows, columns = (
        torch.linspace((1.0 - side) * 0.5, (side - 1.0) * 0.5, side, device=images.device) for side in (height, width)
    )
    coordinates = columns, rows[:, None], torch.ones_like(columns)
    pixels = torch.stack([values.expand(height, width) for values in coordinates], dim=2)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    inverse = torch.tensor([[cosine, -sine], [sine, cosine], [0.0, 0.0]]) / torch.tensor([0.5 * width, 0.5 * height])
    return (pixels.view(1, -1, 3) @ upload(inverse, images.device)[None]).view(1, height, width, 2)


def _sample(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Samples images (N, C, H, W) at a grid. What comes from outside is black, and fades in at the rim."""
    inside = torch.ones_like(images[:, :1])
    sampled = functional.grid_sample(
        torch.cat([images, inside], dim=1), grid.expand(len(images), -1, -1, -1), mode=mode, align_corners=False
    )
    values, covered = sampled[:, :-1], sampled[:, -1:]
    # In place, as in torchvision: the layout in memory of what follows depends on it, and with it the last bits.
    return values.where(covered >= 0.5, 0.0) if mode == "nearest" else values.mul_(covered)


def augment_batch(augment: nn.Module, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Augments images (N, 3, H, W) in [0, 1] and applies the same geometry to their masks (N, H, W)."""
    if masks is None:
        return augment(images), None
    moved_images, moved_masks = augment(tv_tensors.Image(images), tv_tensors.Mask(masks))
    return moved_images.as_subclass(Tensor), moved_masks.as_subclass(Tensor)
