"""Images as tensors on a device, and computations in batches that fit it."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.device import max_batch_size
from metrics.batching import BatchRunner


def to_float(images: Tensor) -> Tensor:
    """Converts pixels (N, 3, H, W) from uint8 to float in [0, 1], channels last."""
    return (images.float() / 255).contiguous(memory_format=torch.channels_last)


def on_device(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Converts pixels (N, H, W, 3), uint8, to a tensor (N, 3, H, W) on the device."""
    return torch.as_tensor(np.ascontiguousarray(images), device=device).permute(0, 3, 1, 2)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a tensor of main memory to a device. The host does not wait for a GPU to finish its work first."""
    if torch.cuda.is_available() and device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type not in {"cpu", "mps"})


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Computes probabilities (N, C), float32, on the CPU, from images (N, 3, H, W), uint8, in evaluation mode."""

    def forward(part: slice) -> Tensor:
        with torch.inference_mode():
            return model(to_float(images[part])).softmax(dim=1)

    return map_batches(forward, images)


def map_batches(compute: Callable[[slice], Tensor], images: Tensor) -> Tensor:
    """Computes results for slices of the images (N, C, H, W) and gathers them on the CPU.

    The batch size suits the device. It is halved if the device runs out of memory.
    """

    def work(indices: Tensor) -> Tensor:
        return compute(slice(int(indices[0]), int(indices[-1]) + 1)).cpu()

    return BatchRunner(max_batch_size(images)).run(work, len(images), torch.device("cpu"))
