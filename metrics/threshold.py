"""Does a threshold on the map part the mask from the rest of the image?

Pixels of one value stand on one side of every threshold, so no choice is ever made among them. A map can be cut
between two different values, or below its smallest, which takes all of it; a constant map has only the latter.
"""

import torch
from torch import Tensor

from metrics import Metric
from metrics.localization import scored
from metrics.sorting import levels, packed_ascending


def roc_auc(saliency: Tensor, mask: Tensor) -> Tensor:
    """Probability that a pixel of the mask has a larger value than one outside it (area under the ROC curve).

    Equal values count one half, as in the Mann-Whitney statistic with average ranks: a constant map scores 0.5, and a
    random one about 0.5. An empty mask, one that fills the image, or a map that is not finite, scores NaN. Where the
    mask is small the score is mild, since most pixels are far from it and easily told apart.

    Args:
        saliency: Maps, (N, H, W), real; only their order counts.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27 (2006), section 7; ties as in Mann and
        Whitney, Annals of Mathematical Statistics 18 (1947).

    Example:
        >>> mask = torch.tensor([[[True, True, False, False]]])
        >>> roc_auc(torch.tensor([[[0.9, 0.2, 0.2, 0.1]]]), mask).item()  # of 4 pairs 3 are won and 1 is tied
        0.875
    """
    inside = mask.flatten(1)
    size = inside.sum(1).double()
    last = inside.shape[1] - 1
    # Ties count one half: the mean of the order in which the mask wins them and of the order in which it loses them.
    values = levels(saliency)
    best, worst = (_places_of_ones(values, bit).double() for bit in (inside, ~inside))
    worst = last * (last + 1) / 2 - worst
    wins = (best + worst) / 2 - size * (size - 1) / 2
    return scored(wins / (size * (last + 1 - size)), saliency, mask)  # 0/0 is NaN


def f1_at_half(saliency: Tensor, mask: Tensor) -> Tensor:
    """F1 of the mask and the pixels whose value is at least halfway from the map's smallest to its largest.

    The threshold is fixed beforehand and looks at no mask. It is 0.5 on the map as
    :func:`metrics.normalize.normalize` leaves it; so a constant map, which has no range, marks everything where its
    value is 0.5 or more and else nothing, which scores 0. An empty mask, or a map that is not finite, scores NaN.

    Args:
        saliency: Maps, (N, H, W), real; scale and offset do not count, unless the map is constant.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Dice, Ecology 26 (1945), for the score; the threshold is the usual one of a half.

    Example:
        >>> mask = torch.tensor([[[True, True, False, False]]])
        >>> f1_at_half(torch.tensor([[[3.0, 2.0, 2.0, 1.0]]]), mask).item()  # three are marked, two of them rightly
        0.8
    """
    values, inside = saliency.double().flatten(1), mask.flatten(1)
    low, high = (extreme[:, None] for extreme in values.aminmax(dim=1))
    threshold = torch.where(high > low, low / 2 + high / 2, 0.5)
    marked = values >= threshold
    scores = 2 * (marked & inside).sum(1).double() / (marked.sum(1) + inside.sum(1))
    return scored(scores, saliency, mask)


def best_f1(saliency: Tensor, mask: Tensor) -> Tensor:
    """F1 of the mask and the thresholded map, at whichever threshold is best for this very mask.

    Optimistic: the threshold is chosen by the answer, image by image, which nobody can do who has no mask. It says how
    good the map could be, not how good it is. A pixel's value is the threshold that marks it and all that are no
    smaller, so a map never marks nothing. A constant map marks everything, as any map may: of a mask with the share s
    of the pixels no map scores below 2 s / (1 + s). An empty mask, or a map that is not finite, scores NaN.

    Args:
        saliency: Maps, (N, H, W), real; only their order counts.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in (0, 1]; higher is better. Read it beside the F1 of a map that looks at nothing.

    Reference:
        Own; the optimal image scale of Arbelaez et al., Contour Detection and Hierarchical Image Segmentation, IEEE
        TPAMI 33 (2011), is the same choice for edges.

    Example:
        >>> mask = torch.tensor([[[True, True, False, False]]])
        >>> best_f1(torch.tensor([[[0.9, 0.2, 0.2, 0.1]]]), mask).item()  # best at 0.2; 0.9 alone scores 2/3
        0.8
    """
    inside, first, inside_below = _ascending(saliency, mask)
    size = inside.sum(1, keepdim=True)
    marked = inside.shape[1] - torch.arange(inside.shape[1], device=inside.device)
    scores = 2 * (size - inside_below).double() / (marked + size)
    return scored((scores * first).amax(1), saliency, mask)


def _ascending(saliency: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels of each map in ascending order of their values, (N, H*W) each.

    Returns:
        Whether each lies in the mask, whether it is the first of its value, and how many before it lie in the mask.
    """
    packed = packed_ascending(levels(saliency), mask.flatten(1))
    inside, values = packed & 1, packed >> 1
    first = torch.ones_like(inside, dtype=torch.bool)
    first[:, 1:] = values[:, 1:] > values[:, :-1]
    return inside.bool(), first, inside.cumsum(1) - inside


def _places_of_ones(values: Tensor, bit: Tensor) -> Tensor:
    """Sum of the places, from 0, in ascending order of the values, of those whose bit is set; among equals the last.

    Args:
        values: Whole numbers, (N, n), int64.
        bit: (N, n), boolean.

    Returns:
        Sums, (N,), int64.
    """
    places = packed_ascending(values, bit).bitwise_and_(1)
    places *= torch.arange(values.shape[1], device=values.device)
    return places.sum(1)


ROC_AUC = Metric(
    name="roc-auc",
    compute=roc_auc,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source="Fawcett 2006, An introduction to ROC analysis, Pattern Recognition Letters 27, section 7",
)
F1_AT_HALF = Metric(
    name="f1-at-half",
    compute=f1_at_half,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source="Dice 1945, Ecology 26; threshold at half of the map's range",
)
BEST_F1 = Metric(
    name="best-f1",
    compute=best_f1,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source="Own; optimistic, as the optimal image scale of Arbelaez et al. 2011, IEEE TPAMI 33",
)
