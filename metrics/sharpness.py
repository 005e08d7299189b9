"""Is the map made of clear edges, or of haze and noise? A first version, to be tried against people's eyes.

No published score is known for this. Tenengrad, Laplacian variance, high-frequency energy and file size are noise
meters: pure noise wins in each. So two numbers are multiplied: how steep the edges are, which falls with blur, and how
far the map is from a shuffle of its own pixels, which falls with noise.

Never compare maps of different native resolutions: a 7 x 7 map, up-sampled, is smooth whatever the network does.
"""

from math import pi, sqrt

import torch
from torch import Tensor
from torch.nn.functional import pad

from metrics import Metric
from metrics.normalise import finite
from metrics.order import ascending, percentile
from metrics.smoothing import gaussian_blur

SCALE = 1.5
"""Standard deviation, in pixels, of the blur under which edges are measured: single noisy pixels make no edge."""


def tv_ratio(saliency: Tensor) -> Tensor:
    """Total variation of the map, divided by the expected total variation after shuffling its pixels.

    Near 0 is a coherent map, 1 is noise; alternating pixels exceed 1. A map of few regions is coherent however blurred
    it is, so the ratio says nothing of sharpness by itself. A constant map (after taking absolute values), or one that
    is not finite, scores NaN.

    The expectation is exact: after a shuffle every pair of neighbours is a random pair of pixels, so it is the number
    of such pairs times the mean absolute difference of two pixels, which sorting gives.

    Args:
        saliency: Maps, (N, H, W), real; absolute values, clipped at their 99th percentile. Scale does not count.

    Returns:
        Scores, (N,), in [0, 2]; lower is more coherent.

    Reference:
        Own. Total variation: Rudin, Osher, Fatemi, Physica D 60 (1992), anisotropic form.

    Example:
        >>> tv_ratio(torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])).item()  # 1 jump; 3 pairs, each differing with p = 2/3
        0.5
    """
    magnitude = _magnitude(saliency)
    return _variation(magnitude) / _shuffled_variation(magnitude)


def sharpness(saliency: Tensor) -> Tensor:
    """Steepness of the map's edges, times its coherence (1 - TV ratio, at least 0).

    Steepness is the 99.5th percentile of the gradient under a blur of 1.5 pixels, as a share of that of an ideal step
    edge of the map's range. A constant map (after taking absolute values), or one that is not finite, scores NaN.

    First version, untested against people's eyes. Weak points known: a coarse grid of random values, up-sampled,
    scores too high (at 224 pixels 14 x 14 equals a ring blurred by 8 pixels, 28 x 28 one blurred by 4); noise with a
    sharp outline passes a disk blurred by 8; broad maps score low even if they are right; it counts pixels, so it
    changes with the resolution; one steep edge over half a per cent of the image suffices.

    Args:
        saliency: Maps, (N, H, W), real; absolute values, clipped at their 99th percentile. Scale does not count.

    Returns:
        Scores, (N,), in [0, 1]; higher is sharper. Only maps of one native resolution may be compared.

    Reference:
        Own.

    Example:
        >>> step = torch.cat([torch.zeros(1, 16, 8), torch.ones(1, 16, 8)], 2)
        >>> haze = torch.linspace(0, 1, 16).expand(1, 16, 16)
        >>> sharpness(torch.cat([step, haze])).round(decimals=2).tolist()
        [0.84, 0.23]
    """
    magnitude = _magnitude(saliency)
    coherence = 1 - _variation(magnitude) / _shuffled_variation(magnitude)
    return _edge_slope(magnitude) * coherence.clamp(min=0)


def _magnitude(saliency: Tensor) -> Tensor:
    """Absolute maps, clipped at the 99th percentile and divided by it; NaN where constant or not finite.

    If the percentile is the minimum, clipping would leave nothing of a sparse map: then the maximum takes its place.
    """
    values = saliency.double().abs()
    low, high = values.flatten(1).aminmax(dim=1)
    clip = percentile(values, 0.99)
    top = torch.where(clip > low, clip, high)[:, None, None]
    undefined = (high == low) | ~finite(saliency)
    return (values.minimum(top) / top).masked_fill(undefined[:, None, None], torch.nan)


def _variation(maps: Tensor) -> Tensor:
    """Sum of the absolute differences of neighbours, (N,)."""
    return maps.diff(dim=1).abs().sum((1, 2)) + maps.diff(dim=2).abs().sum((1, 2))


def _shuffled_variation(maps: Tensor) -> Tensor:
    """Expectation of :func:`_variation` over all orders of the pixels, (N,)."""
    height, width = maps.shape[1:]
    n, pairs = height * width, height * (width - 1) + width * (height - 1)
    weight = 2 * torch.arange(1, n + 1, device=maps.device) - n - 1
    return pairs * 2 * (ascending(maps) * weight).sum(1) / (n * (n - 1))


def _edge_slope(maps: Tensor) -> Tensor:
    """99.5th percentile of the gradient under a slight blur, (N,), where a straight step over the range gives 1."""
    smooth = pad(gaussian_blur(maps, SCALE)[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    down = (smooth[:, 2:, 1:-1] - smooth[:, :-2, 1:-1]) / 2
    right = (smooth[:, 1:-1, 2:] - smooth[:, 1:-1, :-2]) / 2
    contrast = 1 - maps.flatten(1).amin(1)  # the maximum is 1
    step = 1 / (SCALE * sqrt(2 * pi))  # slope of the blurred step in the continuum; on the grid slightly less
    return percentile(down.hypot(right), 0.995) / (contrast * step)


TV_RATIO = Metric(name="tv-ratio", compute=tv_ratio, bounds=(0.0, 2.0), higher_is_better=False, source="Own")
SHARPNESS = Metric(
    name="sharpness", compute=sharpness, bounds=(0.0, 1.0), higher_is_better=True, source="Own, first version"
)
