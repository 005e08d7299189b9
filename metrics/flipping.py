"""How fast the model loses the class while the most salient pixels turn dark."""

import torch
from torch import Tensor

from metrics import Metric
from metrics.perturbation import PerturbationContext


def pixel_flipping(context: PerturbationContext) -> Tensor:
    """Mean height of the class probability while pixels, the most salient first, turn to the image's darkest value.

    The pixels go in K equal steps; the curve begins after the first step and ends at the dark image. (Quantus gives
    its area with steps of length 1, which is this times K - 1; its 0.6.0 flips single color channels, ours whole
    pixels.) With one step it is the probability of the dark image. A constant map scores as a random order does; a map
    that is not finite scores NaN.

    Args:
        context: Model, N images and maps; its fill "minimum" and its steps.

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
    return mean_height(context.deletion_steps("minimum"))


def mean_height(curve: Tensor) -> Tensor:
    """Area under curves (N, K) of equal steps over their length, (N,); the value itself for a single point."""
    return torch.trapezoid(curve, dim=1) / (curve.shape[1] - 1) if curve.shape[1] > 1 else curve[:, 0]


PIXEL_FLIPPING = Metric(
    name="pixel-flipping",
    compute=pixel_flipping,
    bounds=(0.0, 1.0),
    higher_is_better=False,
    source="Bach et al. 2015, On Pixel-Wise Explanations, PLoS ONE 10, Pixel-flipping",
)
