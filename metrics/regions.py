"""Region perturbation: the class probability while square patches turn dark, most salient patches first."""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from metrics import Metric
from metrics.perturbation import PerturbationContext
from metrics.pixel_ordering import part_ranks, part_sums

PATCHES_ACROSS = 28
"""Number of patches along the shorter side. At 224 pixels the patches have 8 pixels, as in the source."""
REMOVED_FRACTION = 100 / 784
"""Fraction of the patches that region perturbation removes. At 224 pixels these are the first 100 of 784."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patches:
    """Square patches of N images, ordered by saliency.

    Attributes:
        ranks: Rank of the patch of each pixel, (N, H, W), from 0. The most salient patch has rank 0.
        num_patches: Number of patches per image.
    """

    ranks: Tensor
    num_patches: int


def patch_size(height: int, width: int, max_across: int) -> int:
    """Returns the side of a patch in pixels. At most `max_across` patches fit along the shorter side.

    Example:
        >>> [patch_size(height, width, PATCHES_ACROSS) for height, width in [(224, 224), (300, 400), (12, 15)]]
        [8, 11, 1]
    """
    return ceil(min(height, width) / max_across)


def patch_labels(height: int, width: int, side: int) -> Tensor:
    """Returns the index of the patch of each pixel, (H, W), in raster order. The grid is centered on the image.

    If the side of the patches does not divide the image, the outer patches are cut.

    Example:
        >>> patch_labels(2, 5, 3).tolist()
        [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    """
    rows, columns = ((torch.arange(length) + (-length % side) // 2) // side for length in (height, width))
    return rows[:, None] * (int(columns[-1]) + 1) + columns


def rank_patches(context: PerturbationContext, side: int) -> Patches:
    """Ranks the patches by the sum of their saliency. The sum of the image's random numbers breaks ties."""
    height, width = context.saliency.shape[1:]
    grid = patch_labels(height, width, side)
    num_patches = int(grid.max()) + 1
    labels = grid.to(context.images.device).expand_as(context.saliency)
    sizes = part_sums(torch.ones_like(context.saliency), labels, num_patches)
    sums, ties = (part_sums(values, labels, num_patches) for values in (context.saliency, context.ties))
    ranks = part_ranks(sums, sizes, ties)
    return Patches(ranks=ranks.gather(1, labels.flatten(1)).view_as(labels), num_patches=num_patches)


def region_perturbation(context: PerturbationContext) -> Tensor:
    """Mean loss of class probability while the most salient square patches turn to the image's darkest value.

    The side of a patch is 1/28 of the shorter side, rounded up to whole pixels, which is 8 at 224. Patches are ordered
    by the sum of their saliency. The first 100 of 784 patches turn dark one after another. For other numbers of patches
    it is the same fraction, rounded up. The score is the mean of p(image) - p(changed image). Random numbers of the
    image order equal patches, so a constant map scores as a random one. A map that is not finite scores NaN.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum".

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned, IEEE TNNLS 28 (2017),
        eq. 12, AOPC. The patches are dark instead of random, as in Quantus.

    Example:
        >>> from metrics.perturbation import example
        >>> region_perturbation(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [0.381, 0.0]
    """
    height, width = context.saliency.shape[1:]
    patches = rank_patches(context, patch_size(height, width, PATCHES_ACROSS))
    return probability_losses(context, patches, ceil(patches.num_patches * REMOVED_FRACTION)).mean(1)


def probability_losses(context: PerturbationContext, patches: Patches, num_removed: int) -> Tensor:
    """Returns the loss of probability after 1, 2, ..., `num_removed` patches, (N, num_removed)."""
    outputs = context.query_hidden(
        lambda image_index, rank: patches.ranks[image_index] <= rank[:, None, None], num_removed
    )
    return context.unperturbed().probability - outputs.probability


def selectivity(context: PerturbationContext) -> Tensor:
    """Area under the class probability while all square patches turn dark, most salient patches first.

    The score is like `deletion`, but with the patches of `region-perturbation`. The K steps of the curve remove nearly
    equal numbers of patches. Both ends of the curve count, and the axis is the fraction of removed patches. A constant
    map scores as a random order of patches does. A map that is not finite scores NaN.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum" and the steps.

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
    patches = rank_patches(context, patch_size(height, width, PATCHES_ACROSS))
    curve = part_curve(context, patches.ranks, torch.full_like(context.classes, patches.num_patches), "minimum")
    return torch.trapezoid(curve.probability, curve.fractions, dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartCurve:
    """Class probability after 0, 1, ..., K steps that remove parts of an image, ends included.

    Attributes:
        probability: (N, K+1), in [0, 1].
        fractions: Fraction of removed parts, (N, K+1), from 0 to 1.
    """

    probability: Tensor
    fractions: Tensor


def part_curve(context: PerturbationContext, ranks: Tensor, num_parts: Tensor, fill: str) -> PartCurve:
    """Computes the curve for a removal of parts in the order of their ranks, in the steps of the context.

    Args:
        context: Model, N images and maps.
        ranks: Rank of the part of each pixel, (N, H, W), from 0.
        num_parts: Number of parts of each image, (N,). If it is smaller than the number of steps, some steps remove
            nothing and have no width.
        fill: Name of the fill that removed parts show.
    """
    steps = torch.arange(context.steps + 1, device=ranks.device)
    # Ceiling division: k steps remove the parts of rank r with r * K < k * num_parts.
    num_removed = -(-steps * num_parts[:, None] // context.steps)
    outputs = context.query_hidden(
        lambda image_index, step: ranks[image_index] < num_removed[image_index, step + 1][:, None, None],
        context.steps,
        fill,
    )
    probability = torch.cat([context.unperturbed().probability, outputs.probability], dim=1)
    return PartCurve(probability=probability, fractions=num_removed.double() / num_parts[:, None])


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
