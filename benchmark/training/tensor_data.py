"""What a network learns from, on the device or at hand for it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.runtime.tensors import to_float
from benchmark.training.regimes import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorData:
    """Images with what is to be learned of them.

    Attributes:
        images: (N, 3, H, W), uint8; on the device, or in the memory of the machine where the device has no room.
        labels: (N,), int64, on the device.
        masks: Reference masks (N, H, W), float16 in [0, 1]; NaN where an image has none. None where nobody asks.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where the network learns."""
        return self.labels.device

    def pixels(self, chosen: Tensor | slice) -> Tensor:
        """Pixels (n, 3, H, W) in [0, 1], channels last, of some of the images, on the device."""
        places = chosen.to(self.images.device) if isinstance(chosen, Tensor) else chosen
        return to_float(self.images[places].to(self.device))


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights (C,) that make every class count the same; their mean over the images is one."""
    counts = torch.bincount(labels, minlength=classes)
    present = int((counts > 0).sum())
    return len(labels) / (present * counts.clamp(min=1))


def slice_batch(batch: Batch, part: slice) -> Batch:
    """Some of the images of a batch, with the same memory."""
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
