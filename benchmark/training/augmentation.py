"""Augmentation on the device, by changes that should not change the diagnosis."""

from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2


def build_augmentation() -> nn.Module:
    """Builds random flips, rotations, zooms and changes of brightness and contrast, drawn once per batch."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(degrees=20, scale=(0.8, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
        ]
    )


def augment_batch(augment: nn.Module, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Augments images (N, 3, H, W) in [0, 1] and applies the same geometry to their masks (N, H, W)."""
    if masks is None:
        return augment(images), None
    moved_images, moved_masks = augment(tv_tensors.Image(images), tv_tensors.Mask(masks))
    return moved_images.as_subclass(Tensor), moved_masks.as_subclass(Tensor)
