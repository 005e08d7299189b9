"""Occlusion: how the class's probability falls when a window covers a part of the image."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from benchmark.saliency.masked import MAX_BATCH_SIZE, rounding_at
from metrics.rounding import evident, log_odds, probability_gained

WINDOWS_PER_SIDE = 8
"""Number of adjacent windows that fit along a side. They move by half of their size: 15 x 15 positions. Where the
side is no multiple, one more row and column of windows ends at the rim, so that no window is cut."""
GRAY = 0.5


def occlusion(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Computes the mean fall of the class's probability over the gray windows that cover a pixel, rectified.

    A window has no effect if it changes the log-odds of the class by at most twice the rounding error of a logit.
    Otherwise rounding would fill an empty map, since maps are scaled before they are scored.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative. Zero where covering does not reduce the probability.

    Reference:
        Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014, section 4.2.
    """
    windows = torch.cat(list(_windows(images)))
    with torch.inference_mode():
        # One image at a time, so that none depends on its batch. A window covers all three channels at once.
        falls = [
            _mean_fall(_build_gain_fn(model, image, label), image, windows)
            for image, label in zip(images, classes, strict=True)
        ]
    # A copy made outside of inference mode, so that autograd and in-place operations work again.
    return evident(functional.relu(torch.stack(falls)).to(images.dtype, copy=True))


def _windows(images: Tensor) -> Iterator[Tensor]:
    """Yields the windows (P, H, W), bool, a row of positions at a time."""
    tops, lefts = (_starts(side) for side in images.shape[-2:])
    height, width = (max(1, side // WINDOWS_PER_SIDE) for side in images.shape[-2:])
    for top in tops:
        row = torch.zeros(len(lefts), *images.shape[-2:], dtype=torch.bool, device=images.device)
        for window, left in zip(row, lefts, strict=True):
            window[top : top + height, left : left + width] = True
        yield row


def _starts(side: int) -> list[int]:
    """Returns the first pixel of each window along a side. The last window ends at the rim."""
    window = max(1, side // WINDOWS_PER_SIDE)
    return sorted({*range(0, side - window + 1, max(1, window // 2)), side - window})


def _mean_fall(gain: Callable[[Tensor], Tensor], image: Tensor, windows: Tensor) -> Tensor:
    """Computes the mean fall (H, W), float64, of the probability over the windows (P, H, W) that cover each pixel."""
    total = torch.zeros(windows.shape[1:], dtype=torch.float64, device=image.device)
    # The gain of the whole image is 0 up to rounding, which depends on how pixels lie in memory.
    whole = gain(image[None])
    for batch in windows.split(MAX_BATCH_SIZE):
        falls = whole - gain(torch.where(batch[:, None], GRAY, image))
        total += (falls[:, :, None] * batch).sum(dim=0)
    return total / windows.sum(dim=0)


def _build_gain_fn(model: nn.Module, image: Tensor, label: Tensor) -> Callable[[Tensor], Tensor]:
    """Builds a function of covered images (M, 3, H, W) that computes the gain in probability, (M, 1), float64."""
    reference = log_odds(model(image[None]), label)
    tolerance = 2 * rounding_at(model, image)

    def gains(inputs: Tensor) -> Tensor:
        odds = log_odds(model(inputs.contiguous(memory_format=torch.channels_last)), label)
        return probability_gained(torch.where((odds - reference).abs() <= tolerance, reference, odds), reference)[
            :, None
        ]

    return gains


OCCLUSION = Method(
    name="occlusion",
    explain=occlusion,
    source="Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014, section 4.2",
)
