"""Images and labels of a split as tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.runtime.tensors import to_float, upload
from benchmark.training.regimes import Batch

RESIZE_BATCH = 256
"""Images to resize at a time, which bounds the memory."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TensorData:
    """Images with their labels and masks.

    Attributes:
        images: (N, 3, H, W), uint8. On the device, or in main memory where the device has too little.
        labels: (N,), int64, on the device.
        masks: Reference masks (N, H, W), float16 in [0, 1]; NaN where an image has none. None if not needed.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self.labels.device

    def pixels(self, selection: Tensor | slice) -> Tensor:
        """Returns the selected images (n, 3, H, W) in [0, 1], channels last, on the device."""
        indices = selection.to(self.images.device) if isinstance(selection, Tensor) else selection
        return to_float(upload(self.images[indices], self.device))

    def resized(self, size: int) -> "TensorData":
        """Returns the same images and masks at size x size pixels, by bilinear interpolation with antialiasing."""
        return TensorData(
            images=torch.cat([_resize(part, size) for part in self.images.split(RESIZE_BATCH)]),
            labels=self.labels,
            masks=None if self.masks is None else _resize(self.masks[:, None].float(), size)[:, 0].to(self.masks.dtype),
        )


def _resize(images: Tensor, size: int) -> Tensor:
    return functional.interpolate(images, (size, size), mode="bilinear", antialias=True)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Computes weights (C,) that balance the classes. Their mean over the images is one."""
    counts = torch.bincount(labels, minlength=classes)
    present = int((counts > 0).sum())
    return len(labels) / (present * counts.clamp(min=1))


def slice_batch(batch: Batch, part: slice) -> Batch:
    """Returns a slice of the images of a batch, with the same memory."""
    return Batch(
        images=batch.images[part],
        labels=batch.labels[part],
        class_weights=batch.class_weights,
        progress=batch.progress,
        indices=batch.indices[part],
        num_images=batch.num_images,
        masks=None if batch.masks is None else batch.masks[part],
        memory=batch.memory,
    )
