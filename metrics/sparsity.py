"""Sparsity and complexity: how concentrated a map is, regardless of where it points."""

import math

import numpy as np
import torch
from torch import Tensor

from metrics import Metric
from metrics.blocks import in_blocks
from metrics.inputs import checked
from metrics.normalize import extremes, finite, magnitude
from metrics.sorting import above, count, distribution, in_single_or_double

MIN_RELATIVE_VALUE = 1e-5
"""Threshold of the effective complexity, relative to the largest absolute value of the map."""
TINY = torch.finfo(torch.float64).tiny
"""The smallest normal number of double precision."""


@checked
def gini(saliency: Tensor) -> Tensor:
    """Gini index of the absolute saliency: 0 if all pixels are equally salient, near 1 if few pixels are salient.

    A constant map scores 0, and a single pixel of n scores 1 - 1/n. The scale of a map does not matter, but its offset
    does. Use maps whose zero means "no relevance". A zero map or one that is not finite scores NaN.

    Args:
        saliency: Maps, (N, H, W), real. The sign does not matter.

    Returns:
        Scores, (N,), in [0, 1]; higher is sparser, which the source calls better.

    Reference:
        Chalasani et al., Concise Explanations of Neural Networks using Adversarial Training, ICML 2020.

    Example:
        >>> gini(torch.tensor([[[0.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]])).tolist()
        [0.75, 0.0]
    """
    sizes, n = distribution(magnitude(saliency)), saliency[0].numel()
    total = (sizes.values * sizes.counts).sum(1)
    scores = (sizes.values * sizes.rank_weights()).sum(1) / (n * total)  # 0/0 is NaN
    return scores.clamp(0, 1).masked_fill(~finite(saliency), torch.nan)


@checked
def entropy(saliency: Tensor) -> Tensor:
    """Entropy of the absolute saliency as a distribution over the pixels, divided by the maximum entropy.

    A constant map scores 1, and a single pixel scores 0. Scale and sign do not matter. A zero map or one that is not
    finite scores NaN.

    Multiplied by ln(H W), it is Quantus' Complexity, in nats, which is not comparable between resolutions.

    Args:
        saliency: Maps, (N, H, W), real. The sign does not matter.

    Returns:
        Scores, (N,), in [0, 1]; lower is more concentrated, which the source calls less complex and so better.

    Reference:
        Bhatt et al., Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020, arXiv 2005.00631,
        complexity, divided by its maximum.

    Example:
        >>> entropy(torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])).tolist()
        [0.5, 1.0]
    """
    num_pixels = saliency[0].numel()
    total, product = in_blocks(_entropy_sums, saliency.detach().flatten(1)).unbind(1)
    # The entropy of x / total, with one logarithm per value. It is NaN for values that are not finite.
    nats = total.log() - product / total
    return (nats / math.log(num_pixels)).clamp(0, 1).masked_fill(total <= 2 * num_pixels * TINY, torch.nan)


@checked
def effective_complexity(saliency: Tensor) -> Tensor:
    """Fraction of the pixels whose absolute saliency is above 1/100,000 of the map's maximum.

    A constant map scores 1, and a single pixel of n scores 1/n. Scale and sign do not matter. A zero map or one that is
    not finite scores NaN. The threshold is so low that it measures where the map is zero, not where it is weak. ReLU
    maps have many zeros, and gradients have hardly any.

    Multiplied by H W, it is Quantus' EffectiveComplexity of one map, a number of pixels. If a call has several maps,
    Quantus divides by the maximum of all of them.

    Args:
        saliency: Maps, (N, H, W), real. The sign does not matter.

    Returns:
        Scores, (N,), in [0, 1]; lower is more concentrated, which the source calls less complex and so better.

    Reference:
        Nguyen and Rodriguez Martinez, On Quantitative Aspects of Model Interpretability, 2020, arXiv 2007.07584,
        effective complexity, in the simpler form of Quantus 0.6.0, which queries no model.

    Example:
        >>> effective_complexity(torch.tensor([[[1.0, -0.5], [1e-6, 0.0]]])).item()
        0.5
    """
    sizes = magnitude(saliency)
    largest = extremes(sizes)[1]
    values = in_single_or_double(sizes).flatten(1)
    threshold = _round_down(largest.double() * MIN_RELATIVE_VALUE, values.dtype)
    counts = count(above(values, threshold[:, None])).double()
    return (counts / values.shape[1]).masked_fill(~finite(saliency) | (largest == 0), torch.nan)


def _round_down(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the largest numbers of a type that are not above the values, float64. The same numbers are above both."""
    rounded = values.to(dtype)
    lower = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
    return torch.where(rounded.double() > values, lower, rounded)


def _entropy_sums(values: Tensor) -> Tensor:
    """Returns the sums of x and of x log x, (N, 2), float64, where x is the absolute value (N, n) plus TINY.

    TINY changes zeros alone, and makes their logarithm finite.
    """
    # Sums of float64 could overflow, and very small values would lose digits. Those of smaller types do neither.
    is_double = values.dtype == torch.float64
    x = values / values.abs().amax(1, keepdim=True) if is_double else values.double()
    # A look at the lowest value is cheaper than two passes. A GPU would have to report it to the host. Doubles may have
    # become 0 by the division.
    if is_double or x.device.type != "cpu" or not bool(values.amin() > 0):
        x.abs_().add_(TINY)
    logs = _log(x)
    return torch.stack([x.sum(1), logs.mul_(x).sum(1)], dim=1)


def _log(values: Tensor) -> Tensor:
    if values.device.type == "cpu":  # numpy has vector instructions for it, three times as fast as torch
        return torch.from_numpy(np.log(values.numpy()))
    return values.log()


GINI = Metric(
    name="sparsity",
    compute=gini,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source="Chalasani et al. 2020, Concise Explanations of Neural Networks using Adversarial Training, ICML",
)
ENTROPY = Metric(
    name="entropy",
    compute=entropy,
    bounds=(0.0, 1.0),
    higher_is_better=False,
    source="Bhatt et al. 2020, IJCAI, arXiv 2005.00631, complexity; divided by its largest value",
)
EFFECTIVE_COMPLEXITY = Metric(
    name="effective-complexity",
    compute=effective_complexity,
    bounds=(0.0, 1.0),
    higher_is_better=False,
    source="Nguyen and Rodriguez Martinez 2020, arXiv 2007.07584; in the form of Quantus 0.6.0, as a fraction",
)
