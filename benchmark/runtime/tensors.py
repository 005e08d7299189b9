"""Images as tensors on a device, and work in batches that fit it."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.device import images_at_once
from metrics.batching import BatchRunner


def to_float(images: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) from uint8 to [0, 1], channels last."""
    return (images.float() / 255).contiguous(memory_format=torch.channels_last)


def on_device(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pixels (N, H, W, 3), uint8, as a tensor (N, 3, H, W) on the device."""
    return torch.as_tensor(np.ascontiguousarray(images), device=device).permute(0, 3, 1, 2)


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Probabilities (N, C), float32, on the CPU, of a model in evaluation mode for images (N, 3, H, W), uint8."""

    def forward(part: slice) -> Tensor:
        with torch.inference_mode():
            return model(to_float(images[part])).softmax(dim=1)

    return in_batches(forward, images)


def in_batches(compute: Callable[[slice], Tensor], images: Tensor) -> Tensor:
    """Results for slices of the images (N, C, H, W), as many at a time as suits the device, gathered on the CPU.

    Where the device's memory runs out, so many are halved.
    """

    def work(places: Tensor) -> Tensor:
        return compute(slice(int(places[0]), int(places[-1]) + 1)).cpu()

    return BatchRunner(images_at_once(images)).run(work, len(images), torch.device("cpu"))
