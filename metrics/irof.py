"""How fast the model loses the class while the segments of the image are removed, the most salient first."""

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
    """Area over the curve of the class probability, as a share of its start, while segments go, most salient first.

    The segments are about 100 superpixels (SLIC) of the image, ordered by their mean saliency; removed ones show the
    mean color of the training images. The K steps of the curve take nearly equal numbers of segments, both ends are
    counted, and the axis is the share of segments removed. Equal segments go in an order drawn for the image, so a
    constant map scores as a random one. Below 0 where the class gains by the removal: not below 1 - C for the predicted
    one of C classes, without limit for a class that the model thinks unlikely. A map that is not finite, or an image
    whose class has no probability, scores NaN.

    Args:
        context: Model, N images and maps; its fill "mean" and its steps.

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
    share = curve.probability / curve.probability[:, :1]
    scores = 1 - torch.trapezoid(share, curve.shares, dim=1)
    return scores.masked_fill(curve.probability[:, 0] == 0, torch.nan)


def segment_curve(context: PerturbationContext) -> PartCurve:
    """Class probability while segments are removed, by their mean saliency."""
    labels = segments(context)
    numbers = labels.flatten(1).amax(1) + 1
    parts = int(numbers.max())
    sizes = part_sums(torch.ones_like(context.saliency), labels, parts)
    means, ties = (part_sums(values, labels, parts) / sizes for values in (context.saliency, context.ties))
    ranks = part_ranks(means, sizes, ties).gather(1, labels.flatten(1)).view_as(labels)
    return part_curve(context, ranks, numbers, "mean")


def segments(context: PerturbationContext) -> Tensor:
    """The number of the segment that each pixel lies in, (N, H, W), from 0; cut once, on the CPU, and kept."""

    def cut() -> Tensor:
        pictures = context.images.permute(0, 2, 3, 1).double().cpu().numpy()
        labels = np.stack([slic(picture, start_label=0) for picture in pictures])
        return torch.as_tensor(labels, device=context.images.device)

    return context.once("segments", cut)


IROF = Metric(
    name="irof",
    compute=irof,
    bounds=(-math.inf, 1.0),
    higher_is_better=True,
    source="Rieger and Hansen 2020, IROF, arXiv 2003.08747",
)
