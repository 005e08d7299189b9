"""How concentrated a map is, wherever it points."""

import torch
from torch import Tensor

from metrics import Metric
from metrics.order import ascending


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


GINI = Metric(
    name="gini",
    compute=gini,
    bounds=(0.0, 1.0),
    higher_is_better=True,
    source="Chalasani et al. 2020, Concise Explanations of Neural Networks using Adversarial Training, ICML",
)
