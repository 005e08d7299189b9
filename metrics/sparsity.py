"""How concentrated a map is, wherever it points."""

from math import log

import torch
from torch import Tensor

from metrics import Metric
from metrics.normalize import finite
from metrics.sorting import ascending

COUNTS_FROM = 1e-5
"""Share of a map's largest absolute value above which a pixel counts for the effective complexity."""


def gini(saliency: Tensor) -> Tensor:
    """Gini index of the absolute saliency: 0 if all pixels matter alike, near 1 if few matter.

    A constant map scores 0, a single pixel of n scores 1 - 1/n. The scale of a map does not count, but its offset
    does: give maps whose zero means "no relevance". A zero map, or one that is not finite, scores NaN.

    Args:
        saliency: Maps, (N, H, W), real; the sign does not count.

    Returns:
        Scores, (N,), in [0, 1]; higher is sparser, which the source calls better.

    Reference:
        Chalasani et al., Concise Explanations of Neural Networks using Adversarial Training, ICML 2020.

    Example:
        >>> gini(torch.tensor([[[0.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]])).tolist()
        [0.75, 0.0]
    """
    values = ascending(saliency.abs())
    n = values.shape[1]
    weight = 2 * torch.arange(1, n + 1, device=saliency.device) - n - 1
    scores = (values * weight).sum(1) / (n * values.sum(1))  # 0/0 and inf/inf are NaN
    return scores.clamp(0, 1)


def entropy(saliency: Tensor) -> Tensor:
    """Entropy of the absolute saliency, taken as a distribution over the pixels, divided by that of the even one.

    A constant map scores 1, a single pixel 0. Scale and sign do not count. A zero map, or one that is not finite,
    scores NaN.

    Times ln(H W) it is Quantus' Complexity, in nats, which cannot be compared between resolutions.

    Args:
        saliency: Maps, (N, H, W), real; the sign does not count.

    Returns:
        Scores, (N,), in [0, 1]; lower is more concentrated, which the source calls less complex, hence better.

    Reference:
        Bhatt et al., Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020, arXiv 2005.00631,
        complexity; divided by its largest value.

    Example:
        >>> entropy(torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])).tolist()
        [0.5, 1.0]
    """
    share = _of_maximum(saliency)
    share = share / share.sum(1, keepdim=True)
    return (torch.special.entr(share).sum(1) / log(share.shape[1])).clamp(0, 1)


def effective_complexity(saliency: Tensor) -> Tensor:
    """Share of the pixels whose absolute saliency is above 1/100,000 of the map's largest.

    A constant map scores 1, a single pixel of n scores 1/n. Scale and sign do not count. A zero map, or one that is
    not finite, scores NaN. The threshold is so low that it asks where the map is zero, not where it is weak: a ReLU
    leaves zeros, a gradient hardly any.

    Times H W it is Quantus' EffectiveComplexity of one map, a number of pixels. (Of several maps in one call Quantus
    divides by the maximum of them all.)

    Args:
        saliency: Maps, (N, H, W), real; the sign does not count.

    Returns:
        Scores, (N,), in [0, 1]; lower is more concentrated, which the source calls less complex, hence better.

    Reference:
        Nguyen and Rodriguez Martinez, On Quantitative Aspects of Model Interpretability, 2020, arXiv 2007.07584,
        effective complexity, in the simpler form of Quantus 0.6.0: no model is asked.

    Example:
        >>> effective_complexity(torch.tensor([[[1.0, -0.5], [1e-6, 0.0]]])).item()
        0.5
    """
    share = _of_maximum(saliency)
    counts = (share > COUNTS_FROM).sum(1).double() / share.shape[1]
    return counts.masked_fill(share.isnan().any(1), torch.nan)


def _of_maximum(saliency: Tensor) -> Tensor:
    """Absolute values as shares of the largest one, (N, H*W), float64; NaN for a zero map or one not finite.

    So no sum overflows, and the smallest maps lose nothing.
    """
    values = saliency.double().abs().flatten(1)
    largest = values.amax(1, keepdim=True)
    undefined = (largest == 0) | ~finite(saliency)[:, None]
    return (values / largest).masked_fill(undefined, torch.nan)


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
    source="Nguyen and Rodriguez Martinez 2020, arXiv 2007.07584; in the form of Quantus 0.6.0, as a share",
)
