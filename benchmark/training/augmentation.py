"""Changes of the images that should not change the diagnosis, on the device."""

from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2


def augmentation() -> nn.Module:
    """Flips, turns, zooms and changes of light, drawn once per batch."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(degrees=20, scale=(0.8, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
        ]
    )


def augmented(augment: nn.Module, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Images (N, 3, H, W), in [0, 1], and the masks (N, H, W) of them, moved alike."""
    if masks is None:
        return augment(images), None
    moved, drawn = augment(tv_tensors.Image(images), tv_tensors.Mask(masks))
    return moved.as_subclass(Tensor), drawn.as_subclass(Tensor)
