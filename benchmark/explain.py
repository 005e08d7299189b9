"""Drawing maps for held-out images."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.device import images_at_once
from benchmark.saliency import Enlarge, Method
from benchmark.training.lesson import to_float
from metrics.chunks import Chunks


def draw_maps(  # noqa: PLR0917 - what maps are made of
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, method: Method, enlarge: Enlarge | None = None
) -> NDArray[np.float16]:
    """Maps of a method for the given classes, each divided by its own maximum.

    Args:
        model: In evaluation mode, on the device of the images.
        layer: Name of the saliency layer.
        images: (N, 3, H, W), uint8.
        classes: The class to explain for each image, (N,).
        method: How to draw.
        enlarge: Places maps of a grid on the image; None stretches them.

    Returns:
        Maps (N, H, W) in [0, 1], float16; zero where the method finds nothing.
    """
    drawn = method.placed(enlarge)

    def draw(part: slice) -> Tensor:
        return of_full_scale(drawn(model, layer, to_float(images[part]), classes[part])).half()

    return np.asarray(in_batches(draw, images).numpy(), dtype=np.float16)


def of_full_scale(maps: Tensor) -> Tensor:
    """Maps (N, H, W), not negative, each divided by its own maximum; a zero map stays zero."""
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


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

    return Chunks(images_at_once(images)).of(work, len(images), torch.device("cpu"))
