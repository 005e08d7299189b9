"""Sharpness and coherence: whether the map consists of clear edges, or of haze and noise.

Tenengrad, Laplacian variance, high-frequency energy and file size measure noise: pure noise wins in each of them.
`tests/metrics/sharpness_controls.py` contains the scores that were tried and the controls that each of them fails.
`results/performance/sharpness-controls.md` is its table. Two scores remain, to be read together: `sharpness` measures
how steep the map is for its height, and `tv-ratio` how coherent it is.

Never compare maps of different native resolutions. An upsampled 7 x 7 map is smooth for any network.
"""

from math import pi, sqrt

import torch
from torch import Tensor
from torch.nn.functional import pad

from metrics import Metric
from metrics.inputs import checked
from metrics.normalize import finite, magnitude
from metrics.smoothing import blur_matrix, gaussian_blur
from metrics.sorting import Distribution, distribution

BLUR_SIGMA = 3.0
"""Standard deviation, in pixels, of the blur under which sharpness is measured.

At 2 pixels, added noise sharpens a broad blob. From 4 pixels on, a small map has too few pixels left.
"""

CHANCE_STDS = 3.0
"""Number of standard deviations above the mean of its shuffles at which the variation of a map counts as structure."""


@checked
def tv_ratio(saliency: Tensor) -> Tensor:
    """Total variation of the map, divided by the expected total variation after shuffling its pixels.

    A coherent map scores near 0, and noise scores about 1. Alternating pixels exceed 1. A map of few regions is
    coherent at any blur, so the ratio alone says nothing about sharpness. A map whose absolute values are constant, or
    one that is not finite, scores NaN.

    The expectation is exact. After a shuffle, every pair of neighbors is a random pair of pixels. So it is the number
    of such pairs times the mean absolute difference of two pixels, which sorting gives.

    Args:
        saliency: Maps, (N, H, W), real. Absolute values, clipped at their 99th percentile. Scale does not matter.

    Returns:
        Scores, (N,), in [0, 2]; lower is more coherent.

    Reference:
        Own. Total variation: Rudin, Osher, Fatemi, Physica D 60 (1992), anisotropic form.

    Example:
        >>> tv_ratio(torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])).item()  # 1 jump; 3 pairs, each differing with p = 2/3
        0.5
    """
    absolute = magnitude(saliency)
    sizes = distribution(absolute)
    top = _top(sizes)[:, None]
    variation = _variation(_clip(absolute.double(), top[:, :, None]))
    shuffled = _shuffled_variation(_clip(sizes.values, top), sizes.rank_weights(), *saliency.shape[1:])
    return (variation / shuffled).masked_fill(~finite(saliency), torch.nan)  # 0/0 is NaN, for a constant map


@checked
def sharpness(saliency: Tensor) -> Tensor:
    """Slope of the map relative to its height, under a blur of 3 pixels, times the fraction of non-random structure.

    Let u be the absolute map, v the blurred map, |dv| the size of its gradient (central differences) and s = 3 pixels:

    - slope = sqrt(pi) s / 2 times (sum of |dv|^2) / (sum of v |dv|), at most 1. It is the relative slope |dv| / v,
      averaged where the map is high and steep.
    - structure = 1 - chance / (sum of (v - mean of u)^2), at least 0. Chance is the expectation of that sum over all
      orders of the pixels of u, plus 3 standard deviations. A shuffled map reaches it.

    A straight edge from a low to a high value, blurred by b pixels, scores
    (high - low) / (high + low) / 2 * s / sqrt(s^2 + b^2). That is 1/2 for a sharp edge that rises from 0. A thin line
    scores pi / 4. Noise and shuffled pixels score about 0. A map whose absolute values are constant, or one that is not
    finite, scores NaN.

    On the controls, the score falls with every step of blur (to 8 pixels) and of noise (half-normal, to 40 % of the
    maximum), for maps of 96, 128 and 224 pixels. It ranks noise and every shuffled map below every structured one. It
    has these limits:

    - It does not see noise that is part of the structure. A score that falls with every blur must rank a noisy map
      above the same map blurred. So it ranks noise under an envelope above the bare envelope. Sparse specks under an
      envelope score far too high. `tv-ratio` does see them.
    - An enlarged coarse grid of random values is as steep as its cells. It is about as sharp as a shape blurred by the
      same interpolation, at most 1.3 times. It never passes for a sharp shape, but the score does not reveal that it is
      random.
    - It counts pixels: a map enlarged k times is blurred k times as much. Sharp shapes have a stable score (a disk .50
      to .52 at 96 to 224 pixels), but broad ones do not (a blob whose sigma is a sixth of the side: .07 at 224, .17 at
      96).
    - Gradients of untrained networks are nearly noise. A blur by 1 or 2 pixels brings out structure and raises the
      score from nearly 0.
    - A few specks form clusters by chance. Shuffles with less than 3 % of nonzero pixels may pass for structured. With
      0.1 %, the worst of 40 shuffles scores .10 at 224 pixels and .37 at 96.
    - Below about 64 pixels a side, the blur is as wide as the shapes, and broad and sharp shapes score alike.
    - It has not been compared with human judgment.

    Args:
        saliency: Maps, (N, H, W), real. Absolute values, not clipped. Scale does not matter. An offset does: it is haze
            and lowers the score.

    Returns:
        Scores, (N,), in [0, 1]; higher is sharper. Compare only maps of one native resolution.

    Reference:
        Own. Comparison with a map's own shuffles as in permutation tests of Moran's I (Cliff and Ord, Spatial
        processes, 1981). Contrast as Michelson's.

    Example:
        >>> step = torch.cat([torch.zeros(1, 64, 32), torch.ones(1, 64, 32)], 2)
        >>> haze = torch.linspace(0, 1, 64).expand(1, 64, 64)
        >>> sharpness(torch.cat([step, step + 0.5, haze])).round(decimals=2).tolist()
        [0.48, 0.24, 0.08]
    """
    absolute = magnitude(saliency).double()
    low, high = absolute.amin((1, 2)), absolute.amax((1, 2))
    undefined = (high == low) | ~finite(saliency)
    relative = absolute / high.masked_fill(undefined, torch.nan)[:, None, None]
    smooth = gaussian_blur(relative, BLUR_SIGMA)
    return _slope(smooth) * _beyond_chance(relative, smooth)


def _slope(smooth: Tensor) -> Tensor:
    """Returns the gradient over the height, averaged where both are large, (N,), in [0, 1].

    The factor is chosen so that a single blurred point gives 1.
    """
    padded = pad(smooth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    right = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    gradient = down.hypot(right)
    rise = (gradient * smooth).sum((1, 2)).clamp(min=torch.finfo(torch.float64).tiny)  # avoids 0/0 for level maps
    return (gradient.square().sum((1, 2)) / rise * sqrt(pi) * BLUR_SIGMA / 2).clamp(max=1)


def _beyond_chance(maps: Tensor, smooth: Tensor) -> Tensor:
    """Returns the fraction of the blurred maps' variation that shuffles are unlikely to have, (N,), in [0, 1]."""
    mean = maps.mean((1, 2), keepdim=True)
    height, width = maps.shape[1:]
    expected, deviation = _shuffled_blur(height, width, maps.device)
    chance = (maps - mean).square().mean((1, 2)) * (expected + CHANCE_STDS * deviation)
    variation = (smooth - mean).square().sum((1, 2)).clamp(min=torch.finfo(torch.float64).tiny)
    return (1 - chance / variation).clamp(min=0)


def _shuffled_blur(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the mean and standard deviation of the blurred variation of a shuffled map of unit variance.

    The blur is a matrix K over all n pixels, whose rows sum to 1. Shuffled pixels have covariance -1 / (n - 1). So the
    mean over all orders is exactly (|K|^2 - 1) n / (n - 1), in the Frobenius norm. The deviation is that of Gaussian
    white noise, sqrt(2 (|K'K|^2 - 1)). K factors into rows and columns, and so do the norms.
    """
    matrices = [blur_matrix(side, BLUR_SIGMA, device) for side in (height, width)]
    norm = torch.stack([matrix.square().sum() for matrix in matrices]).prod()
    second = torch.stack([(matrix.T @ matrix).square().sum() for matrix in matrices]).prod()
    n = height * width
    return (norm - 1) * n / (n - 1), (2 * (second - 1)).clamp(min=0).sqrt()


def _top(sizes: Distribution) -> Tensor:
    """Returns the 99th percentile of absolute maps, (N,).

    If the percentile equals the minimum, clipping would leave nothing of a sparse map, so the maximum replaces it.
    """
    clip, low, high = sizes.percentile(0.99), sizes.value_at(0)[:, 0], sizes.percentile(1)
    return torch.where(clip > low, clip, high)


def _clip(values: Tensor, top: Tensor) -> Tensor:
    """Returns values clipped at the top, and divided by it, so that sums do not overflow."""
    return values.minimum(top) / top


def _variation(maps: Tensor) -> Tensor:
    """Returns the sum of the absolute differences of neighbors, (N,)."""
    return maps.diff(dim=1).abs_().sum((1, 2)) + maps.diff(dim=2).abs_().sum((1, 2))


def _shuffled_variation(values: Tensor, rank_weights: Tensor, height: int, width: int) -> Tensor:
    """Returns the expectation of :func:`_variation` over all orders of the pixels, (N,), from their distribution."""
    n, num_pairs = height * width, height * (width - 1) + width * (height - 1)
    return num_pairs * 2 * (values * rank_weights).sum(1) / (n * (n - 1))


TV_RATIO = Metric(name="tv-ratio", compute=tv_ratio, bounds=(0.0, 2.0), higher_is_better=False, source="Own")
SHARPNESS = Metric(name="sharpness", compute=sharpness, bounds=(0.0, 1.0), higher_is_better=True, source="Own")
