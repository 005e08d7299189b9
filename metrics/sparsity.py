"""Sparsity and complexity: how concentrated a map is, regardless of where it points."""

import numpy as np
import torch
from torch import Tensor

from metrics import Metric
from metrics.inputs import checked
from metrics.normalize import finite, magnitude
from metrics.sorting import above, count, distribution, in_single_or_double

MIN_RELATIVE_VALUE = 1e-5
"""Threshold of the effective complexity, relative to the largest absolute value of the map."""


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
    values = magnitude(saliency).flatten(1).double()
    # Without this division, sums could overflow, and very small values would lose digits. 0/0 and inf/inf are NaN.
    values = values / values.amax(1, keepdim=True)
    total = values.sum(1)
    # The entropy of values / total, with one logarithm per value.
    nats = _log(total) - (values * _log(values)).sum(1) / total
    return (nats / _log(torch.full_like(total, values.shape[1]))).clamp(0, 1)


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
    values = in_single_or_double(magnitude(saliency)).flatten(1)
    largest = values.amax(1, keepdim=True)
    fractions = count(above(values, _round_down(largest.double() * MIN_RELATIVE_VALUE, values.dtype))).double()
    return (fractions / values.shape[1]).masked_fill(~finite(saliency) | (largest[:, 0] == 0), torch.nan)


def _round_down(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns the largest numbers of a type that are not above the values, float64. The same numbers are above both."""
    rounded = values.to(dtype)
    lower = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
    return torch.where(rounded.double() > values, lower, rounded)


def _log(values: Tensor) -> Tensor:
    """Returns natural logarithms of values from 0, float64. That of 0 is finite, so that its product with 0 is 0."""
    positive = values.clamp(min=torch.finfo(torch.float64).tiny)
    if positive.device.type == "cpu":  # numpy has vector instructions for it, three times as fast as torch
        return torch.from_numpy(np.log(positive.numpy()))
    return positive.log()


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
