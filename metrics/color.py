"""Does the map follow the variation of color within the lesion?

That adversarially trained networks "highlight regions with significant color variation within the lesion" was said of
them from looking at maps. Here it is a number, and beside it a second one, of the same map turned half about: a map
that is merely central, or merely follows the rim, follows the colors as well when it is turned. So read the two
together: what the first has above the second is owed to where the map puts its weight.

They are not subtracted. The colors of a lesion are symmetric to some degree themselves (on 250 images of ISIC 2018,
turned colors correlate with themselves by 0.21 in the mean, with a standard deviation of 0.27), so a map that follows
them perfectly would score 1 less that degree, another number for every lesion, and one could no longer tell a map that
follows no colors from one that follows symmetric ones. Scores are kept by image: whoever wants the differences has
them. On the same images a bell at the center of the mask scores -0.23, and turned -0.24.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from metrics import Metric
from metrics.normalize import finite
from metrics.sorting import ascending

RADIUS = 3 / 224
"""Reach of the window, as a share of the image's shorter side: 3 pixels at 224, 7 x 7 in all."""
FEWEST = 10
"""Pixels below which a rank correlation is not worth its name."""
GRID = 1024
"""Steps to which one unit of CIELAB is divided; people notice a difference of about two units."""

# IEC 61966-2-1: linear sRGB to CIE XYZ, with D65 for white.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
# CIE 1976: L* is 116 f(Y) - 16, a* is 500 (f(X) - f(Y)), b* is 200 (f(Y) - f(Z)).
_TO_LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))


def color_variation(saliency: Tensor, mask: Tensor, images: Tensor) -> Tensor:
    """Spearman's rank correlation, within the mask, of the map with the local variation of color.

    A random map scores about 0. Equal values share the mean of their ranks. A mask of fewer than 10 pixels, a map or
    a variation that is constant within the mask, or a map that is not finite, scores NaN. Read it beside
    :func:`color_variation_null`. The window of a pixel at the rim looks across it, so the rim of a lesion counts as
    variation.

    Args:
        saliency: Maps, (N, H, W), real; only their order within the mask counts.
        mask: Expert masks, (N, H, W), boolean.
        images: Images, (N, 3, H, W), sRGB in [0, 1]; see :func:`local_variation`.

    Returns:
        Scores, (N,), in [-1, 1]; higher follows the colors more, which the source calls better.

    Reference:
        Margeloiu et al., Med-NeurIPS 2020, arXiv 2012.01166, for the claim, which was judged by eye; the protocol is
        Loupe's own.

    Example:
        >>> images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> mask = torch.ones(1, 16, 16, dtype=torch.bool)
        >>> color_variation(local_variation(images), mask, images).item()
        1.0
    """
    return _spearman(saliency, local_variation(images), mask).masked_fill(~finite(saliency), torch.nan)


def color_variation_null(saliency: Tensor, mask: Tensor, images: Tensor) -> Tensor:
    """The same correlation for the map turned by 180 degrees about the center of the mask's bounding box.

    Each pixel of the mask is given the map's value at the pixel opposite to it. If the opposite pixel is not of the
    mask, neither of map nor of colors does the pixel count: a map that fills the lesion would else be punished for
    the lesion's asymmetry. If the mask is symmetric, all of its pixels count. NaN as in :func:`color_variation`,
    where fewer than 10 pixels are left, or on them map or variation is constant.

    Args:
        saliency: Maps, (N, H, W), real; only their order within the mask counts.
        mask: Expert masks, (N, H, W), boolean.
        images: Images, (N, 3, H, W), sRGB in [0, 1].

    Returns:
        Scores, (N,), in [-1, 1]; the level that :func:`color_variation` has to leave behind, no merit of a map.

    Reference:
        Own; for the claim, Margeloiu et al., Med-NeurIPS 2020, arXiv 2012.01166.

    Example:
        >>> images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> mask = torch.ones(1, 16, 16, dtype=torch.bool)
        >>> color_variation_null(local_variation(images).flip(1, 2), mask, images).item()
        1.0
    """
    opposite = _opposite(mask)
    turned, turned_mask = (field.flatten(1).gather(1, opposite).view_as(field) for field in (saliency, mask))
    scores = _spearman(turned, local_variation(images), mask & turned_mask)
    return scores.masked_fill(~finite(saliency), torch.nan)


def local_variation(images: Tensor) -> Tensor:
    """Root of the summed variances of the CIELAB channels in the square window about each pixel.

    The window reaches 3 pixels to each side at 224, in proportion else, at least 1; at the image's border it is cut
    off. Colors are rounded to 1/1024 of a unit, so that sums are exact: areas of one color have a variation of just
    0, and equal variations are equal on every device, which ranks need.

    Args:
        images: (N, 3, H, W), sRGB in [0, 1].

    Returns:
        Variation, (N, H, W), in units of CIELAB, float64.

    Example:
        >>> local_variation(torch.tensor([0.0, 1.0]).expand(1, 3, 2, 2)).tolist()  # L* is 0 or 100
        [[[50.0, 50.0], [50.0, 50.0]]]
    """
    colors = (cielab(images) * GRID).round().long()
    reach = max(1, round(RADIUS * min(images.shape[-2:])))
    number = _window_sums(torch.ones_like(colors[:1, 0]), reach)
    spread = number * _window_sums(colors.square().sum(1), reach)
    for channel in colors.unbind(1):
        spread -= _window_sums(channel, reach).square()
    return spread.double().sqrt() / (number * GRID)


def cielab(images: Tensor) -> Tensor:
    """Colors as CIE 1976 L*, a*, b* under D65, (N, 3, H, W), float64, from sRGB in [0, 1].

    White is what the matrix makes of it, so that grays have no color.

    Reference:
        IEC 61966-2-1 (sRGB to XYZ); CIE 1976 (XYZ to L*a*b*).

    Example:
        >>> cielab(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).flatten().round().tolist()
        [53.0, 80.0, 67.0]
    """
    to_xyz, to_lab = (torch.tensor(matrix, dtype=torch.float64, device=images.device) for matrix in (_TO_XYZ, _TO_LAB))
    share_of_white = _mixed(_linear(images.double()), to_xyz / to_xyz.sum(1, keepdim=True))
    colors = _mixed(_perceived(share_of_white), to_lab)
    colors[:, 0] -= 16
    return colors


def _linear(values: Tensor) -> Tensor:
    """Light from sRGB values."""
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _perceived(light: Tensor) -> Tensor:
    """The cube root, with a straight line in its place near zero, where it would be too steep."""
    knee = 6 / 29
    return torch.where(light > knee**3, light ** (1 / 3), light / (3 * knee**2) + 4 / 29)


def _mixed(channels: Tensor, matrix: Tensor) -> Tensor:
    """The matrix (3, 3) times the channels of (N, 3, H, W)."""
    return (matrix @ channels.flatten(2)).view_as(channels)


def _window_sums(fields: Tensor, reach: int) -> Tensor:
    """Sum over the window about each pixel of (N, H, W), int64, as far as it lies in the image."""
    side = 2 * reach + 1
    total = pad(fields, (reach + 1, reach) * 2).cumsum(1).cumsum(2)
    rows = total[:, side:] - total[:, :-side]
    return rows[:, :, side:] - rows[:, :, :-side]


def _opposite(mask: Tensor) -> Tensor:
    """Place (N, H*W) of the pixel opposite to each, seen from the center of the mask's bounding box.

    What is opposite to a pixel of the mask lies in the box, so in the image. To others any place is given.
    """
    width = mask.shape[2]
    rows, columns = (_mirrored(mask.any(dim)) for dim in (2, 1))
    return (rows[:, :, None] * width + columns[:, None, :]).flatten(1)


def _mirrored(occupied: Tensor) -> Tensor:
    """Mirror image (N, L) of each place of a line in the span between the first and the last that are occupied."""
    last = occupied.shape[1] - 1
    line = torch.arange(last + 1, device=occupied.device)
    ends = line.where(occupied, last).amin(1) + line.where(occupied, 0).amax(1)
    return (ends[:, None] - line).clamp(0, last)


def _spearman(first: Tensor, second: Tensor, inside: Tensor) -> Tensor:
    """Rank correlation (N,) of two fields (N, H, W) over the pixels inside; NaN for fewer than 10 or a constant."""
    number = inside.flatten(1).sum(1)
    one, other = (_centered_ranks(field, inside, number) for field in (first, second))
    spread = one.square().sum(1) * other.square().sum(1)
    scores = ((one * other).sum(1) / spread.sqrt()).clamp(-1, 1)  # 0/0 is NaN
    return scores.masked_fill(number < FEWEST, torch.nan)


def _centered_ranks(field: Tensor, inside: Tensor, number: Tensor) -> Tensor:
    """Twice the ranks (N, M) among the pixels inside, less their mean; rows of fewer than M pixels end with zeros.

    Equal values share the mean of their ranks, which is half a whole number; so twice that is whole and its sums of
    squares are exact in any order, up to images of 500 x 500.
    """
    taken = torch.arange(int(number.max()), device=field.device) < number[:, None]
    values = torch.full(taken.shape, torch.inf, dtype=torch.float64, device=field.device)
    values[taken] = field[inside].double()
    line = ascending(values[:, None])
    below, up_to = (torch.searchsorted(line, values, right=right) for right in (False, True))
    return ((below + up_to - number[:, None]) * taken).double()


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
