"""Separation of mask and background by a threshold on the map.

Equal pixels are on the same side of every threshold, so no score depends on how ties are broken. A threshold is
between two different values of the map, or below the smallest one, which marks all pixels. A constant map has only the
latter.
"""

import torch
from torch import Tensor

from metrics import Metric
from metrics.inputs import checked
from metrics.localization import scored
from metrics.normalize import extremes
from metrics.sorting import count, count_levels


@checked
def roc_auc(saliency: Tensor, mask: Tensor) -> Tensor:
    """Probability that a pixel of the mask has a larger value than one outside it (area under the ROC curve).

    Ties count one half, as in the Mann-Whitney statistic with average ranks. So a constant map scores 0.5, and a random
    map about 0.5. An empty mask, a mask that fills the image, or a map that is not finite scores NaN. The score is
    lenient where the mask is small, since most pixels are far from it and easy to separate.

    Args:
        saliency: Maps, (N, H, W), real. Only the order of the values matters.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27 (2006), section 7. Ties as in Mann and
        Whitney, Annals of Mathematical Statistics 18 (1947).

    Example:
        >>> mask = torch.tensor([[[True, True, False, False]]])
        >>> roc_auc(torch.tensor([[[0.9, 0.2, 0.2, 0.1]]]), mask).item()  # of 4 pairs, 3 are won and 1 is tied
        0.875
    """
    outside, inside = count_levels(saliency, mask)
    num_outside, num_inside = outside.sum(1), inside.sum(1)
    # In integers: twice the number of pairs that the mask wins, where a tie is half a win.
    below = outside.cumsum(1) - outside
    wins = (inside * (2 * below + outside)).sum(1)
    return scored(wins.double() / (2 * num_inside.double() * num_outside.double()), saliency, mask)  # 0/0 is NaN


@checked
def f1_at_half(saliency: Tensor, mask: Tensor) -> Tensor:
    """F1 of the mask and the pixels whose value is at least halfway from the map's minimum to its maximum.

    The threshold is fixed and uses no mask. It is 0.5 on a map that :func:`metrics.normalize.normalize` returns. A
    constant map has no range. It marks all pixels if its value is 0.5 or more, and no pixels otherwise, which scores 0.
    An empty mask or a map that is not finite scores NaN.

    Args:
        saliency: Maps, (N, H, W), real. Scale and offset do not matter, unless the map is constant.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Dice, Ecology 26 (1945), for the score. One half is the usual threshold.

    Example:
        >>> mask = torch.tensor([[[True, True, False, False]]])
        >>> f1_at_half(torch.tensor([[[3.0, 2.0, 2.0, 1.0]]]), mask).item()  # three are marked, two of them correctly
        0.8
    """
    values = saliency.double().flatten(1)
    low, high = (extreme.double()[:, None] for extreme in extremes(saliency))
    threshold = torch.where(high > low, low / 2 + high / 2, 0.5)
    marked = values >= threshold
    hits, sizes = count(marked & mask.flatten(1)), count(marked) + count(mask.flatten(1))
    return scored(2 * hits.double() / sizes, saliency, mask)


@checked
def best_f1(saliency: Tensor, mask: Tensor) -> Tensor:
    """Maximum F1 of the mask and the thresholded map, over all thresholds for each image.

    The score is optimistic: the mask itself selects the threshold, image by image, and nobody has the mask in practice.
    It measures how good the map could be, not how good it is. A threshold is a value of the map and marks all pixels
    that are not smaller, so at least one pixel is marked. Every map can mark all pixels, as a constant map does. So for
    a mask with the fraction s of the pixels, no map scores below 2 s / (1 + s). An empty mask or a map that is not
    finite scores NaN.

    Args:
        saliency: Maps, (N, H, W), real. Only the order of the values matters.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in (0, 1]; higher is better. Compare it with the score of a map that ignores the image.

    Reference:
        Own. The optimal image scale of Arbelaez et al., Contour Detection and Hierarchical Image Segmentation, IEEE
        TPAMI 33 (2011), is the same choice for edges.

    Example:
        >>> mask = torch.tensor([[[True, True, False, False]]])
        >>> best_f1(torch.tensor([[[0.9, 0.2, 0.2, 0.1]]]), mask).item()  # best at 0.2; 0.9 alone scores 2/3
        0.8
    """
    # The number of pixels from each level on. A level without pixels has the score of the next one, or 0.
    outside, inside = (counts.flip(1).cumsum(1) for counts in count_levels(saliency, mask))
    size = inside[:, -1:]
    scores = 2 * inside.double() / (inside + outside + size)
    return scored(scores.amax(1), saliency, mask)


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
