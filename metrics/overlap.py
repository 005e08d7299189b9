"""Fuzzy overlap of soft maps with soft expert masks: the scores of the DermXDB benchmark.

Maps and masks are degrees of membership in [0, 1]. AND is the minimum, OR is the maximum, and NOT is the complement, so
no threshold is needed. Maps must be normalized, see :func:`metrics.normalize.normalize`. Values outside [0, 1] are
refused (:mod:`metrics.inputs`). Inside the benchmark, where nothing is refused, such a map scores NaN, and so does one
that is not finite.
"""

import torch
from torch import Tensor

from metrics import Metric
from metrics.inputs import checked
from metrics.normalize import extremes
from metrics.sharing import shared


@shared
def _intersection(saliency: Tensor, reference: Tensor) -> Tensor:
    """Returns the size of the fuzzy intersection, (N,). NaN for a map with values outside [0, 1]."""
    return _size(torch.minimum(saliency, reference)).masked_fill(~_in_range(saliency), torch.nan)


@shared
def _size(membership: Tensor) -> Tensor:
    """Returns the sum of the degrees of membership, (N,)."""
    # Sums are float64, so that a score does not depend on how the device splits them.
    return membership.flatten(1).sum(1, dtype=torch.float64)


@shared
def _in_range(saliency: Tensor) -> Tensor:
    """Returns whether all values of each map are in [0, 1], (N,)."""
    low, high = extremes(saliency)
    return (low >= 0) & (high <= 1)


def _unless_empty(scores: Tensor, reference: Tensor) -> Tensor:
    """Returns the scores, with NaN where the reference is empty."""
    return scores.masked_fill(_size(reference) == 0, torch.nan)


@checked
def map_f1(saliency: Tensor, reference: Tensor) -> Tensor:
    """Twice the fuzzy intersection of map and reference, divided by the sum of their sizes (Dice).

    An all-zero map scores 0. An empty reference scores NaN. A map with values outside [0, 1] is refused.

    Args:
        saliency: Normalized maps, (N, H, W), in [0, 1].
        reference: Soft expert masks, (N, H, W), in [0, 1].

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Jalaboi et al., arXiv 2302.12084, `pixel_metrics_fuzzy` of the published code.

    Example:
        >>> map_f1(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[1.0, 0.0]]])).tolist()
        [0.5]
    """
    scores = 2 * _intersection(saliency, reference) / (_size(saliency) + _size(reference))
    return _unless_empty(scores, reference)


@checked
def map_sensitivity(saliency: Tensor, reference: Tensor) -> Tensor:
    """Fraction of the reference that the map covers.

    An all-zero map scores 0, and an all-one map scores 1. An empty reference scores NaN. A map with values outside
    [0, 1] is refused.

    Args:
        saliency: Normalized maps, (N, H, W), in [0, 1].
        reference: Soft expert masks, (N, H, W), in [0, 1].

    Returns:
        Scores, (N,), in [0, 1]; higher is better, but only together with the specificity.

    Reference:
        Jalaboi et al., arXiv 2302.12084, `pixel_metrics_fuzzy` of the published code.

    Example:
        >>> map_sensitivity(torch.tensor([[[0.25, 1.0]]]), torch.tensor([[[1.0, 0.0]]])).tolist()
        [0.25]
    """
    return _unless_empty(_intersection(saliency, reference) / _size(reference), reference)


@checked
def map_specificity(saliency: Tensor, reference: Tensor) -> Tensor:
    """Fraction of the reference's background that the map leaves out.

    An all-zero map scores 1, and an all-one map scores 0. A reference that fills the image scores NaN. A map
    with values outside [0, 1] is refused.

    Args:
        saliency: Normalized maps, (N, H, W), in [0, 1].
        reference: Soft expert masks, (N, H, W), in [0, 1].

    Returns:
        Scores, (N,), in [0, 1]; higher is better, but only together with the sensitivity.

    Reference:
        Jalaboi et al., arXiv 2302.12084, `pixel_metrics_fuzzy` of the published code.

    Example:
        >>> map_specificity(torch.tensor([[[0.5, 0.25]]]), torch.tensor([[[1.0, 0.0]]])).tolist()
        [0.75]
    """
    background = reference[0].numel() - _size(reference)
    # The intersection of the complements is the background without what the map has of it.
    left_out = background - (_size(saliency) - _intersection(saliency, reference))
    return (left_out / background).clamp(0, 1)


@checked
def map_iou(saliency: Tensor, reference: Tensor) -> Tensor:
    """Fuzzy intersection of map and reference, divided by their fuzzy union.

    An all-zero map scores 0. An empty reference scores NaN. A map with values outside [0, 1] is refused.

    Args:
        saliency: Normalized maps, (N, H, W), in [0, 1].
        reference: Soft expert masks, (N, H, W), in [0, 1].

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Jalaboi et al., arXiv 2302.12084, `pixel_metrics_fuzzy` of the published code.

    Example:
        >>> map_iou(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[1.0, 0.0]]])).item()  # 0.5 of 1.5
        0.3333333333333333
    """
    intersection = _intersection(saliency, reference)
    union = _size(saliency) + _size(reference) - intersection
    return _unless_empty(intersection / union, reference).clamp(max=1)


_SOURCE = "Jalaboi et al. 2023, arXiv 2302.12084, pixel_metrics_fuzzy of the published code"

MAP_F1 = Metric(name="map-f1", compute=map_f1, bounds=(0.0, 1.0), higher_is_better=True, source=_SOURCE)
MAP_SENSITIVITY = Metric(
    name="map-sensitivity", compute=map_sensitivity, bounds=(0.0, 1.0), higher_is_better=True, source=_SOURCE
)
MAP_SPECIFICITY = Metric(
    name="map-specificity", compute=map_specificity, bounds=(0.0, 1.0), higher_is_better=True, source=_SOURCE
)
MAP_IOU = Metric(name="map-iou", compute=map_iou, bounds=(0.0, 1.0), higher_is_better=True, source=_SOURCE)
