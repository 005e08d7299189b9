"""Color variation: whether the map follows the variation of color within the lesion.

Margeloiu et al. inspected maps and found that adversarially trained networks "highlight regions with significant color
variation within the lesion". This module measures that. A second score measures the same map turned by 180 degrees. A
map that is merely central, or merely follows the border, follows the colors equally well when turned. So compare the
two scores. The difference is due to where the map puts its weight.

The scores are not subtracted, since the colors of a lesion are partly symmetric themselves. On 250 images of ISIC 2018,
turned colors correlate with the original ones by 0.21 on average, with a standard deviation of 0.27. After subtraction,
a perfect map would score 1 minus that value, which is different for each lesion. A map that follows no colors could not
be distinguished from one that follows symmetric colors. The scores are stored for each image, so the differences can be
computed. On the same images, a bell at the center of the mask scores -0.23, and -0.24 when turned.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from metrics import Metric
from metrics.inputs import checked
from metrics.normalize import finite
from metrics.sharing import shared
from metrics.sorting import dense_ranks, levels

WINDOW_RADIUS = 3 / 224
"""Radius of the window, as a fraction of the shorter side: 3 pixels at 224, for a window of 7 x 7."""
MIN_PIXELS = 10
"""Minimum number of pixels for a meaningful rank correlation."""
STEPS_PER_UNIT = 1024
"""Number of quantization steps per unit of CIELAB. People notice a difference of about two units."""
MAX_SQUARE = 25_000
"""Bound of L*^2 + a*^2 + b*^2 of colors of sRGB. Green has the largest."""
NUM_CODES = 255
"""Largest value of an image of 8 bits."""

# IEC 61966-2-1: linear sRGB to CIE XYZ, with D65 for white.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
# CIE 1976: L* is 116 f(Y) - 16, a* is 500 (f(X) - f(Y)), b* is 200 (f(Y) - f(Z)).
_TO_LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))


@checked
def color_variation(saliency: Tensor, mask: Tensor, images: Tensor) -> Tensor:
    """Spearman's rank correlation, within the mask, of the map with the local variation of color.

    A random map scores about 0. Ties have the mean of their ranks. A mask of fewer than 10 pixels scores NaN. So does a
    map or a variation that is constant within the mask, and a map that is not finite. Compare the score with
    :func:`color_variation_null`. The window of a pixel at the border of the mask crosses it, so the border of a lesion
    counts as variation.

    Args:
        saliency: Maps, (N, H, W), real. Only the order of the values within the mask matters.
        mask: Expert masks, (N, H, W), boolean.
        images: Images, (N, 3, H, W), sRGB in [0, 1], see :func:`local_variation`.

    Returns:
        Scores, (N,), in [-1, 1]; higher follows the colors more, which the source calls better.

    Reference:
        Margeloiu et al., Med-NeurIPS 2020, arXiv 2012.01166, for the claim, which was judged by eye. The protocol is
        Loupe's own.

    Example:
        >>> images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> mask = torch.ones(1, 16, 16, dtype=torch.bool)
        >>> color_variation(local_variation(images), mask, images).item()
        1.0
    """
    own, marked = levels(saliency), _marked(mask)
    saliency_levels = own.index.flatten().index_select(0, marked)
    scores = _spearman(saliency_levels, own.num_levels, _variation_levels(images, mask), marked, mask)
    return scores.masked_fill(~finite(saliency), torch.nan)


@checked
def color_variation_null(saliency: Tensor, mask: Tensor, images: Tensor) -> Tensor:
    """Color variation of the map after a turn by 180 degrees about the center of the mask's bounding box.

    Each pixel of the mask takes the value of the map at the opposite pixel. If the opposite pixel is outside the mask,
    the pixel is left out of both map and colors. Otherwise a map that fills the lesion would be penalized for the
    asymmetry of the lesion. If the mask is symmetric, all of its pixels count. The score is NaN as in
    :func:`color_variation`, applied to the remaining pixels.

    Args:
        saliency: Maps, (N, H, W), real. Only the order of the values within the mask matters.
        mask: Expert masks, (N, H, W), boolean.
        images: Images, (N, 3, H, W), sRGB in [0, 1].

    Returns:
        Scores, (N,), in [-1, 1]. It is the level that :func:`color_variation` must exceed, not a quality of the map.

    Reference:
        Own. For the claim, Margeloiu et al., Med-NeurIPS 2020, arXiv 2012.01166.

    Example:
        >>> images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> mask = torch.ones(1, 16, 16, dtype=torch.bool)
        >>> color_variation_null(local_variation(images).flip(1, 2), mask, images).item()
        1.0
    """
    own, marked = levels(saliency), _marked(mask)
    size = mask[0].numel()
    opposite = _opposite(mask).flatten().index_select(0, marked) + marked // size * size
    is_paired = mask.flatten().index_select(0, opposite)
    saliency_levels = own.index.flatten().index_select(0, opposite[is_paired])
    variation_levels = _variation_levels(images, mask)[is_paired]
    scores = _spearman(saliency_levels, own.num_levels, variation_levels, marked[is_paired], mask)
    return scores.masked_fill(~finite(saliency), torch.nan)


def local_variation(images: Tensor) -> Tensor:
    """Returns the root of the summed variances of the CIELAB channels in the square window around each pixel.

    The radius of the window is 3 pixels at 224, proportional at other sizes, and at least 1. The window is cut at the
    border of the image. Colors are rounded to 1/1024 of a unit, so that sums are exact. So areas of one color have a
    variation of exactly 0, and equal variations are equal on every device, which ranks need.

    Args:
        images: (N, 3, H, W), sRGB in [0, 1].

    Returns:
        Variation, (N, H, W), in units of CIELAB, float64.

    Example:
        >>> local_variation(torch.tensor([0.0, 1.0]).expand(1, 3, 2, 2)).tolist()  # L* is 0 or 100
        [[[50.0, 50.0], [50.0, 50.0]]]
    """
    return _variation(images, _window_radius(images))


def _window_radius(images: Tensor) -> int:
    return max(1, round(WINDOW_RADIUS * min(images.shape[-2:])))


def _variation(images: Tensor, radius: int) -> Tensor:
    """Returns the local variation in windows of a radius, (N, H, W), float64."""
    colors = (cielab(images) * STEPS_PER_UNIT).round_()
    # In integers: n^2 times the variance is n times the sum of squares minus the square of the sum.
    colors = colors.to(_integer_type(2 * radius + 1, max(images.shape[-2:])))
    num_pixels = _window_sums(torch.ones_like(colors[:1, 0]), radius)
    spread = num_pixels * _window_sums(colors.square().sum(1), radius)
    for channel in colors.unbind(1):
        spread -= _window_sums(channel, radius).square_()
    return spread.double().sqrt_() / (num_pixels * STEPS_PER_UNIT)


def _integer_type(window: int, length: int) -> torch.dtype:
    """Returns the type in which sums over windows are exact: float64, which is faster, or int64 for large images."""
    largest = MAX_SQUARE * STEPS_PER_UNIT**2 * window * max(window**3, length)
    return torch.float64 if largest < 2**53 else torch.int64


def cielab(images: Tensor) -> Tensor:
    """Returns the colors as CIE 1976 L*, a*, b* under D65, (N, 3, H, W), float64, from sRGB in [0, 1].

    White is the white of the matrix, so that grays have a* and b* of 0.

    Reference:
        IEC 61966-2-1 (sRGB to XYZ). CIE 1976 (XYZ to L*a*b*).

    Example:
        >>> cielab(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).flatten().round().tolist()
        [53.0, 80.0, 67.0]
    """
    to_xyz, to_lab = (torch.tensor(matrix, dtype=torch.float64, device=images.device) for matrix in (_TO_XYZ, _TO_LAB))
    relative_xyz = _mix_channels(_linear(images), to_xyz / to_xyz.sum(1, keepdim=True))
    colors = _mix_channels(_perceived(relative_xyz), to_lab)
    colors[:, 0] -= 16
    return colors


def _linear(values: Tensor) -> Tensor:
    """Converts sRGB values to linear light, float64. On a CPU, the 256 values of images of 8 bits are looked up."""
    if values.device.type != "cpu":  # which computes them faster than it says whether they are of 8 bits
        return _linear_light(values.double())
    codes = (values * NUM_CODES).round()
    if not torch.equal(codes / NUM_CODES, values):
        return _linear_light(values.double())
    table = _linear_light((torch.arange(NUM_CODES + 1).to(values) / NUM_CODES).double())
    return table.index_select(0, codes.flatten().clamp_(0, NUM_CODES).int()).view_as(values)


def _linear_light(values: Tensor) -> Tensor:
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _perceived(light: Tensor) -> Tensor:
    """Returns the cube root. Near zero, where the root would be too steep, its tangent replaces it."""
    knee = 6 / 29
    below = light.clamp(max=knee**3).sub_(knee**3)
    return _cube_root(light.clamp(min=knee**3)).add_(below, alpha=1 / (3 * knee**2))


def _cube_root(values: Tensor) -> Tensor:
    if values.device.type == "cpu":  # numpy has vector instructions for it, six times as fast as a power in torch
        return torch.from_numpy(np.cbrt(values.numpy()))
    return values ** (1 / 3)


def _mix_channels(channels: Tensor, matrix: Tensor) -> Tensor:
    """Returns the matrix (3, 3) times the channels of (N, 3, H, W)."""
    return (matrix @ channels.flatten(2)).view(channels.shape)


def _window_sums(values: Tensor, radius: int) -> Tensor:
    """Returns the sum over the window around each pixel of (N, H, W), integers. Pixels outside the image count as 0."""
    side = 2 * radius + 1
    # Running sums, padded so that each window is a difference of two of them.
    total = pad(values, (0, 0, radius + 1, radius)).cumsum_(1)
    rows = total[:, side:] - total[:, :-side]
    total = pad(rows, (radius + 1, radius)).cumsum_(2)
    return total[:, :, side:] - total[:, :, :-side]


def _opposite(mask: Tensor) -> Tensor:
    """Returns the flat index, (N, H*W), of the pixel opposite to each about the center of the mask's bounding box.

    The opposite of a pixel of the mask is in the box, so it is in the image. For other pixels the index is arbitrary.
    """
    width = mask.shape[2]
    rows, columns = (_mirrored(mask.any(dim)) for dim in (2, 1))
    return (rows[:, :, None] * width + columns[:, None, :]).flatten(1)


def _mirrored(occupied: Tensor) -> Tensor:
    """Returns the mirror image (N, L) of each index, within the span from the first to the last occupied index."""
    last = occupied.shape[1] - 1
    indices = torch.arange(last + 1, device=occupied.device)
    ends = indices.where(occupied, last).amin(1) + indices.where(occupied, 0).amax(1)
    return (ends[:, None] - indices).clamp(0, last)


@shared
def _marked(mask: Tensor) -> Tensor:
    """Returns the flat indices of the marked pixels of masks (N, H, W), (M,), ascending."""
    return mask.flatten().nonzero()[:, 0]


@shared
def _variation_levels(images: Tensor, mask: Tensor) -> Tensor:
    """Returns the rank of the local variation of each marked pixel among the distinct ones of its mask, (M,).

    That is a level, from 0 to H*W - 1, plus H*W times the row.
    """
    size, marked = mask[0].numel(), _marked(mask)
    rows = marked // size
    sizes = torch.bincount(rows, minlength=len(mask))
    # Only marked pixels are sorted. They are packed into rows, and shorter rows end with infinity.
    width = int(sizes.max())
    places = torch.arange(len(marked), device=mask.device) + (rows * width - (sizes.cumsum(0) - sizes)[rows])
    packed = torch.full((len(mask) * width,), torch.inf, dtype=torch.float64, device=mask.device)
    packed[places] = _marked_variation(images, mask)
    ranks = dense_ranks(packed.view(len(mask), width)).flatten()
    return ranks.index_select(0, places) + rows * size


def _marked_variation(images: Tensor, mask: Tensor) -> Tensor:
    """Returns the local variation at each marked pixel, (M,), float64.

    On a CPU, it is computed in the box of the windows of the marked pixels only. Sums are exact, so the box does not
    change them. On a GPU, the loop would cost more than it saves.
    """
    if images.device.type != "cpu":
        return local_variation(images).flatten().index_select(0, _marked(mask))
    radius, parts = _window_radius(images), [torch.zeros(0, dtype=torch.float64)]
    for image, own in zip(images, mask, strict=True):
        rows, columns = (_span(own.any(dim), radius) for dim in (1, 0))
        if rows.stop:
            variation = _variation(image[None, :, rows, columns], radius)
            parts.append(variation[0][own[rows, columns]])
    return torch.cat(parts)


def _span(occupied: Tensor, margin: int) -> slice:
    """Returns the span (L,) of the occupied indices with a margin. It stops at 0 if none is occupied."""
    indices = occupied.nonzero()[:, 0].tolist()
    return slice(max(0, indices[0] - margin), indices[-1] + margin + 1) if indices else slice(0, 0)


def _spearman(first: Tensor, num_levels: int, second: Tensor, pixels: Tensor, mask: Tensor) -> Tensor:
    """Returns the rank correlation (N,) of two values of each of some pixels of N images.

    Args:
        first: Levels of one value, (M,), from 0, plus `num_levels` times the row.
        num_levels: Number of these levels.
        second: Levels of the other value, (M,), from 0, plus H*W times the row.
        pixels: Flat indices of the pixels, (M,).
        mask: (N, H, W). Only its shape matters.

    Returns:
        NaN for fewer than 10 pixels, or where a value is constant.
    """
    rows = pixels // mask[0].numel()
    one = _centered_ranks(first, num_levels, len(mask))
    other = _centered_ranks(second, mask[0].numel(), len(mask))
    products, squares, other_squares = (
        torch.bincount(rows, weights=values, minlength=len(mask)) for values in (one * other, one * one, other * other)
    )
    scores = (products / (squares * other_squares).sqrt()).clamp(-1, 1)  # 0/0 is NaN
    return scores.masked_fill(torch.bincount(rows, minlength=len(mask)) < MIN_PIXELS, torch.nan)


def _centered_ranks(index: Tensor, num_levels: int, num_rows: int) -> Tensor:
    """Returns twice the ranks (M,) of some pixels among those of their row, minus their mean, from their levels.

    The rank of ties is a multiple of one half, so twice the rank is an integer. Its sums of squares are exact in any
    order, up to images of 500 x 500.
    """
    counts = torch.bincount(index, minlength=num_rows * num_levels).view(num_rows, num_levels)
    up_to = counts.cumsum(1)
    ranks = 2 * up_to - counts - up_to[:, -1:]
    return ranks.flatten().index_select(0, index).double()


_CLAIM = "Margeloiu et al. 2020, Med-NeurIPS, arXiv 2012.01166, for the claim"

COLOR_VARIATION = Metric(
    name="color-variation",
    compute=color_variation,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"Own; {_CLAIM}",
)
COLOR_VARIATION_NULL = Metric(
    name="color-variation-null",
    compute=color_variation_null,
    bounds=(-1.0, 1.0),
    higher_is_better=False,
    source=f"Own; {_CLAIM}",
)
