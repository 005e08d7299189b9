"""IROF: the class probability while image segments are removed, most salient segments first."""

import math

import numpy as np
import torch
from skimage.segmentation import slic
from torch import Tensor

from metrics import Metric
from metrics.perturbation import PerturbationContext
from metrics.pixel_ordering import part_ranks, part_sums
from metrics.regions import PartCurve, part_curve


def irof(context: PerturbationContext) -> Tensor:
    """Area over the relative class probability while image segments are removed, most salient segments first.

    The segments are about 100 superpixels (SLIC) of the image, ordered by their mean saliency. Removed segments show
    the mean color of the training images. The probability is relative to that of the original image. The K steps of the
    curve remove nearly equal numbers of segments. Both ends of the curve count, and the axis is the fraction of removed
    segments. Random numbers of the image order equal segments, so a constant map scores as a random one.

    The score is negative if the class gains by the removal. It is at least 1 - C for the predicted one of C classes,
    but unbounded for a class that the model considers unlikely. A map that is not finite scores NaN, and so does an
    image whose class has probability 0.

    Args:
        context: Model, N images and maps. The metric uses the fill "mean" and the steps.

    Returns:
        Scores, (N,), at most 1; higher is better.

    Reference:
        Rieger and Hansen, IROF: a low resource evaluation metric for explanation methods, arXiv 2003.08747 (2020).

    Example:
        >>> from metrics.perturbation import example
        >>> irof(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [0.22, 0.073]
    """
    curve = segment_curve(context)
    relative = curve.probability / curve.probability[:, :1]
    scores = 1 - torch.trapezoid(relative, curve.fractions, dim=1)
    return scores.masked_fill(curve.probability[:, 0] == 0, torch.nan)


def segment_curve(context: PerturbationContext) -> PartCurve:
    """Computes the class probability while segments are removed in the order of their mean saliency."""
    labels = segments(context)
    num_segments = labels.flatten(1).amax(1) + 1
    max_segments = int(num_segments.max())
    sizes = part_sums(torch.ones_like(context.saliency), labels, max_segments)
    means, ties = (part_sums(values, labels, max_segments) / sizes for values in (context.saliency, context.ties))
    ranks = part_ranks(means, sizes, ties).gather(1, labels.flatten(1)).view_as(labels)
    return part_curve(context, ranks, num_segments, "mean")


def segments(context: PerturbationContext) -> Tensor:
    """Returns the index of the segment of each pixel, (N, H, W), from 0. Computed on the CPU and cached."""

    def compute() -> Tensor:
        images = context.images.permute(0, 2, 3, 1).double().cpu().numpy()
        labels = np.stack([slic(image, start_label=0) for image in images])
        return torch.as_tensor(labels, device=context.images.device)

    return context.cached("segments", compute)


IROF = Metric(
    name="irof",
    compute=irof,
    bounds=(-math.inf, 1.0),
    higher_is_better=True,
    source="Rieger and Hansen 2020, IROF, arXiv 2003.08747",
)
