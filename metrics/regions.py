"""How fast the model loses the class while square patches, the most salient first, turn dark."""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from metrics import Metric
from metrics.perturbation import PerturbationContext
from metrics.pixel_ordering import part_ranks, part_sums

ACROSS = 28
"""Patches along the shorter side: patches of 8 pixels at 224, as the source has them."""
MEASURED = 100 / 784
"""Share of the patches that region perturbation removes: the first 100 of the 784 at 224."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patches:
    """Square patches of N images, the most salient first.

    Attributes:
        ranks: Rank of the patch that each pixel lies in, (N, H, W), from 0.
        number: How many patches an image has.
    """

    ranks: Tensor
    number: int


def patch_side(height: int, width: int, across: int) -> int:
    """Side of the patches of which at most `across` lie along the shorter side, in pixels.

    Example:
        >>> patch_side(224, 224, ACROSS), patch_side(300, 400, ACROSS), patch_side(12, 15, ACROSS)
        (8, 11, 1)
    """
    return ceil(min(height, width) / across)


def patch_labels(height: int, width: int, side: int) -> Tensor:
    """The number of the patch that each pixel lies in, (H, W), in raster order; the grid is centered on the image.

    Where the side does not divide the image, the outer patches are cut.

    Example:
        >>> patch_labels(2, 5, 3).tolist()
        [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    """
    rows, columns = ((torch.arange(length) + (-length % side) // 2) // side for length in (height, width))
    return rows[:, None] * (int(columns[-1]) + 1) + columns


def patches(context: PerturbationContext, side: int) -> Patches:
    """Patches by the sum of the saliency within them; equals go by the sum of the image's random numbers."""
    height, width = context.saliency.shape[1:]
    labels = patch_labels(height, width, side).to(context.images.device)
    number = int(labels.max()) + 1
    places = labels.expand_as(context.saliency)
    sizes = part_sums(torch.ones_like(context.saliency), places, number)
    sums, ties = (part_sums(values, places, number) for values in (context.saliency, context.ties))
    ranks = part_ranks(sums, sizes, ties)
    return Patches(ranks=ranks.gather(1, places.flatten(1)).view_as(places), number=number)


def region_perturbation(context: PerturbationContext) -> Tensor:
    """Mean loss of class probability while the most salient square patches turn to the image's darkest value.

    Patches are a twenty-eighth of the shorter side, rounded up to whole pixels (8 at 224), ordered by the sum of their
    saliency; the first 100 of 784 (of other numbers the same share, rounded up) go one after another, and the score is
    the mean of p(image) - p(changed image). Equal patches go in an order drawn for the image, so a constant map scores
    as a random one; a map that is not finite scores NaN.

    Args:
        context: Model, N images and maps; its fill "minimum".

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned, IEEE TNNLS 28 (2017),
        eq. 12, AOPC; dark instead of random patches, as Quantus has it.

    Example:
        >>> from metrics.perturbation import example
        >>> region_perturbation(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [0.381, 0.0]
    """
    height, width = context.saliency.shape[1:]
    found = patches(context, patch_side(height, width, ACROSS))
    return losses(context, found, ceil(found.number * MEASURED)).mean(1)


def losses(context: PerturbationContext, found: Patches, regions: int) -> Tensor:
    """Loss of probability after 1, 2, ... of the first `regions` patches, (N, regions)."""
    after = context.hidden(lambda image, region: found.ranks[image] <= region[:, None, None], regions)
    return context.whole().probability - after.probability


def selectivity(context: PerturbationContext) -> Tensor:
    """Area under the class probability while all square patches, the most salient first, turn dark.

    As `deletion`, but by the patches of `region-perturbation`: the K steps of the curve take nearly equal numbers of
    patches, both ends are counted, and the axis is the share of patches removed. A constant map scores as a random
    order of patches does; a map that is not finite scores NaN.

    Args:
        context: Model, N images and maps; its fill "minimum" and its steps.

    Returns:
        Scores, (N,), in [0, 1]; lower is better.

    Reference:
        Montavon et al., Methods for Interpreting and Understanding Deep Neural Networks, Digital Signal Processing 73
        (2018), section 7.2, Explanation selectivity.

    Example:
        >>> from metrics.perturbation import example
        >>> selectivity(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [0.595, 0.786]
    """
    height, width = context.saliency.shape[1:]
    found = patches(context, patch_side(height, width, ACROSS))
    curve = part_curve(context, found.ranks, torch.full_like(context.classes, found.number), "minimum")
    return torch.trapezoid(curve.probability, curve.shares, dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartCurve:
    """Class probability after 0, 1, ..., K steps that remove parts of an image, ends included.

    Attributes:
        probability: (N, K+1), in [0, 1].
        shares: Share of the parts that are gone, (N, K+1), from 0 to 1.
    """

    probability: Tensor
    shares: Tensor


def part_curve(context: PerturbationContext, ranks: Tensor, numbers: Tensor, fill: str) -> PartCurve:
    """Removal of parts in the order of their ranks, in the steps of the context.

    Args:
        context: Model, N images and maps.
        ranks: Rank of the part that each pixel lies in, (N, H, W), from 0.
        numbers: How many parts each image has, (N,). Where these are fewer than the steps, some steps remove nothing
            and have no width.
        fill: What removed parts show.
    """
    steps = torch.arange(context.steps + 1, device=ranks.device)
    gone = -(-steps * numbers[:, None] // context.steps)  # after k steps, the parts of rank r with r * K < k * number
    after = context.hidden(lambda image, step: ranks[image] < gone[image, step + 1][:, None, None], context.steps, fill)
    probability = torch.cat([context.whole().probability, after.probability], dim=1)
    return PartCurve(probability=probability, shares=gone.double() / numbers[:, None])


REGION_PERTURBATION = Metric(
    name="region-perturbation",
    compute=region_perturbation,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source="Samek et al. 2017, Evaluating the Visualization of What a DNN Has Learned, IEEE TNNLS 28, eq. 12",
)
SELECTIVITY = Metric(
    name="selectivity",
    compute=selectivity,
    bounds=(0.0, 1.0),
    higher_is_better=False,
    source="Montavon et al. 2018, Methods for Interpreting and Understanding DNNs, Digital Signal Processing 73, 7.2",
)
