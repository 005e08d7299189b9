"""Pixel flipping: the class probability while the most salient pixels turn dark."""

import torch
from torch import Tensor

from metrics import Metric
from metrics.perturbation import PerturbationContext


def pixel_flipping(context: PerturbationContext) -> Tensor:
    """Mean class probability while pixels turn to the image's darkest value, most salient pixels first.

    The pixels change in K equal steps. The curve begins after the first step and ends at the dark image, and the score
    is its mean height. With one step, the score is the probability of the dark image. A constant map scores as a random
    order does. A map that is not finite scores NaN.

    Quantus returns the area with steps of length 1, which is K - 1 times this score. Quantus 0.6.0 flips single color
    channels, while this metric flips all channels of a pixel.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum" and the steps.

    Returns:
        Scores, (N,), in [0, 1]; lower is better.

    Reference:
        Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance
        Propagation, PLoS ONE 10 (2015), Pixel-flipping.

    Example:
        >>> from metrics.perturbation import example
        >>> pixel_flipping(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [0.5, 0.69]
    """
    return mean_height(context.deletion_probabilities("minimum"))


def mean_height(curve: Tensor) -> Tensor:
    """Returns the area under curves (N, K) of equal steps divided by their length, (N,).

    For a single point it returns the value.
    """
    return torch.trapezoid(curve, dim=1) / (curve.shape[1] - 1) if curve.shape[1] > 1 else curve[:, 0]


PIXEL_FLIPPING = Metric(
    name="pixel-flipping",
    compute=pixel_flipping,
    bounds=(0.0, 1.0),
    higher_is_better=False,
    source="Bach et al. 2015, On Pixel-Wise Explanations, PLoS ONE 10, Pixel-flipping",
)
