"""Localization: how well the map points into the expert's mask.

Equal values have no order. If a choice among them would change a score, the score is its expectation over all possible
choices. So it depends on no sorting routine. Ties are common, since ReLU maps have many exact zeros.
"""

import torch
from torch import Tensor

from metrics import Metric
from metrics.blocks import in_blocks
from metrics.inputs import checked
from metrics.normalize import extremes, finite
from metrics.sharing import shared
from metrics.sorting import above, count, distribution, equal

TOP_FRACTION = 1000 / 224**2
"""Fraction of the pixels that top-k takes, about 2 %.

At 224 pixels this is the 1,000 of Quantus. At other sizes it is the same relative area.
"""


def scored(scores: Tensor, saliency: Tensor, mask: Tensor) -> Tensor:
    """Returns the scores (N,), with NaN where the mask is empty or the map is not finite."""
    return scores.masked_fill(_is_empty(mask) | ~finite(saliency), torch.nan)


@shared
def _is_empty(mask: Tensor) -> Tensor:
    """Returns whether no pixel of each mask (N, H, W) is marked, (N,)."""
    return mask.view(torch.uint8).flatten(1).amax(1) == 0


@checked
def top_mask_f1(saliency: Tensor, mask: Tensor) -> Tensor:
    """F1 of the mask and the map's largest values, taking as many of them as the mask has pixels.

    Both sets have the same size, so precision, recall, F1, Dice and Relevance Rank Accuracy are equal. The chance level
    is the fraction of the image that the mask covers. For ties at the cut, the score is the expected one. So a constant
    map scores the chance level. A mask that fills the image scores 1. An empty mask or a map that is not finite scores
    NaN.

    Args:
        saliency: Maps, (N, H, W), real. Only the order of the values matters.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Arras et al., CLEVR-XAI, Information Fusion 81 (2022), arXiv 2003.07258, Relevance Rank Accuracy.

    Example:
        >>> mask = torch.tensor([[[True, True, False, False]]])
        >>> top_mask_f1(torch.tensor([[[0.9, 0.2, 0.2, 0.1]]]), mask).item()  # one sure hit, one of two by chance
        0.75
    """
    size = count(mask.flatten(1))
    return scored(_expected_hits(saliency, mask, size) / size, saliency, mask)


@checked
def top_k(saliency: Tensor, mask: Tensor) -> Tensor:
    """Fraction of the map's largest values, 2 % of its pixels, that are inside the mask.

    The number of pixels, k, is round(:data:`TOP_FRACTION` H W), and at least 1. That is 1,000 at 224 x 224 and 184 at
    96 x 96. For ties at the cut, the score is the expected one. So a constant map scores the fraction of the image that
    the mask covers. A mask of fewer than k pixels cannot have k hits, so its maximum score is its size divided by k. An
    empty mask or a map that is not finite scores NaN.

    Args:
        saliency: Maps, (N, H, W), real. Only the order of the values matters.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Theiner et al., Interpretable Semantic Photo Geolocation, WACV 2022, arXiv 2104.14995. Quantus implements it as
        TopKIntersection, with a default of 1,000 pixels of 224 x 224.

    Example:
        >>> saliency, mask = torch.zeros(1, 10, 20), torch.zeros(1, 10, 20, dtype=torch.bool)
        >>> saliency[0, 0, :4], mask[0, 0, :3] = torch.tensor([0.9, 0.8, 0.7, 0.6]), True
        >>> top_k(saliency, mask).item()  # 4 of the 200 pixels count, and 3 of them are hits
        0.75
    """
    k = max(1, round(TOP_FRACTION * saliency[0].numel()))
    size = torch.full((len(saliency),), k, device=saliency.device)
    return scored(_expected_hits(saliency, mask, size) / k, saliency, mask)


def _expected_hits(saliency: Tensor, mask: Tensor, size: Tensor) -> Tensor:
    """Returns the expected number of the `size` (N,) largest values that are inside the mask, (N,).

    The expectation is over all ways to break ties. A size of 0 has no smallest chosen value, so the largest value of
    the map stands in for it. The caller divides that result by 0.
    """
    inside = mask.flatten(1)
    num_pixels = inside.shape[1]
    cut = distribution(saliency).value_at((num_pixels - size).clamp(max=num_pixels - 1))
    values = saliency.detach().flatten(1)
    cut = cut.to(values.dtype)  # a value of the map, so nothing is rounded
    larger, tied = above(values, cut), equal(values, cut)
    # Each tied pixel is chosen with the same probability.
    chosen = (size - count(larger)).double() / count(tied)
    return count(larger & inside) + chosen * count(tied & inside)


@checked
def relevance_mass(saliency: Tensor, mask: Tensor) -> Tensor:
    """Fraction of the positive saliency that is inside the mask.

    A map without positive values scores 0. An empty mask or a map that is not finite scores NaN. Applied to the
    absolute map, the score is Quantus' AttributionLocalisation. That is no separate metric here, since the methods of
    this benchmark return no negative values.

    Args:
        saliency: Maps, (N, H, W), real. Negative values count as zero.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Arras et al., CLEVR-XAI, Information Fusion 81 (2022), arXiv 2003.07258, Relevance Mass Accuracy.

    Example:
        >>> relevance_mass(torch.tensor([[[3.0, 1.0, -5.0]]]), torch.tensor([[[True, False, False]]])).item()
        0.75
    """
    lowest, mass, inside = in_blocks(_masses, saliency.detach().flatten(1), mask.flatten(1)).unbind(1)
    undefined = _is_empty(mask) | ~(lowest.isfinite() & mass.isfinite())
    return torch.where(mass > 0, inside / mass, 0.0).masked_fill(undefined, torch.nan)


def _masses(saliency: Tensor, mask: Tensor) -> Tensor:
    """Returns the lowest saliency, the sum of the positive one, and its sum inside the mask, (N, 3), float64.

    They are computed together, so that maps (N, n) are read from memory once.
    """
    lowest = saliency.amin(1)
    # No pass for maps without negative values. A GPU would have to report these to the host.
    is_positive = saliency.device.type == "cpu" and bool((lowest >= 0).all())
    positive = (saliency if is_positive else saliency.clamp(min=0)).double()
    inside = mask.view(torch.uint8).double()  # ten times as fast as from booleans
    return torch.stack([lowest.double(), positive.sum(1), inside.mul_(positive).sum(1)], dim=1)


@checked
def pointing_game(saliency: Tensor, mask: Tensor) -> Tensor:
    """Whether the map's largest value is inside the mask.

    If several pixels have the largest value, the score is the fraction of them that is inside. So a constant map scores
    the fraction of the image that the mask covers. An empty mask or a map that is not finite scores NaN.

    Args:
        saliency: Maps, (N, H, W), real.
        mask: Expert masks, (N, H, W), boolean.

    Returns:
        Scores, (N,), in [0, 1], mostly 0 or 1; higher is better.

    Reference:
        Zhang et al., Top-down Neural Attention by Excitation Backprop, IJCV 126 (2018), pointing game, without its
        margin of 15 pixels.

    Example:
        >>> pointing_game(torch.tensor([[[0.2, 0.9]]]), torch.tensor([[[False, True]]])).item()
        1.0
    """
    values = saliency.flatten(1)
    highest = equal(values, extremes(saliency)[1][:, None])
    hits = count(highest & mask.flatten(1))
    return scored(hits.double() / count(highest), saliency, mask)


_ARRAS = "Arras et al. 2022, CLEVR-XAI, Information Fusion 81, arXiv 2003.07258"

TOP_MASK_F1 = Metric(
    name="top-mask-f1",
    compute=top_mask_f1,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source=f"{_ARRAS}, Relevance Rank Accuracy",
)
TOP_K = Metric(
    name="top-k",
    compute=top_k,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source="Theiner et al. 2022, WACV, arXiv 2104.14995; TopKIntersection of Quantus",
)
RELEVANCE_MASS = Metric(
    name="relevance-mass",
    compute=relevance_mass,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source=f"{_ARRAS}, Relevance Mass Accuracy",
)
POINTING_GAME = Metric(
    name="pointing-game",
    compute=pointing_game,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source="Zhang et al. 2018, IJCV 126, pointing game, without its margin",
)
