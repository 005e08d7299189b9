"""Infidelity: how badly the map predicts the logit lost with each square of the image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics import Metric
from metrics.perturbation import PerturbationContext
from metrics.pixel_ordering import part_sums
from metrics.regions import patch_labels, patch_size

SQUARES_ACROSS = 10
"""Number of squares along the shorter side."""


def infidelity(context: PerturbationContext) -> Tensor:
    """Fraction of the squared logit losses, one for each square of the image, that the map does not predict.

    The image is cut into squares, ten along its shorter side. One query per square fills that square with the image's
    darkest value. Let I be the brightness that the square loses. The map a predicts the loss a.I, summed over pixels
    and channels. The model loses f(x) - f(x - I).

    A map has no unit, so it is multiplied by the factor of least squared error (beta in the source). The factor is
    never negative. Logits have no unit either, so the squared error is divided by the squared loss. A map that predicts
    every loss up to one factor scores 0. A map that predicts no loss scores 1, as a zero map does, and so does a map
    that predicts the opposite. A map that is not finite scores NaN. So does a model whose losses are all within
    rounding error.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum".

    Returns:
        Scores, (N,), in [0, 1]; lower is better.

    Reference:
        Yeh et al., On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019, definition 2.1 with square
        removal, and the optimal scaling of its appendix.

    Example:
        >>> from metrics.perturbation import example
        >>> infidelity(example([[0.9, 0.1], [0.0, 0.9]])).round(decimals=3).tolist()
        [0.0, 1.0]
    """
    height, width = context.saliency.shape[1:]
    losses = compute_square_losses(context, patch_size(height, width, SQUARES_ACROSS))
    # Least squares through the origin explains (p.a)^2 / (p.p) of the squared loss a.a.
    product = (losses.predicted * losses.actual).sum(1).clamp(min=0) ** 2
    predicted, actual = ((values**2).sum(1) for values in (losses.predicted, losses.actual))
    explained = torch.where(predicted > 0, product / predicted, predicted)
    unchanged = losses.actual.abs().amax(1) <= context.rounding_bound()
    return (1 - explained / actual).clamp(0, 1).masked_fill(unchanged, torch.nan)


@dataclass(frozen=True, kw_only=True, slots=True)
class SquareLosses:
    """Logit losses with each of Q squares.

    Attributes:
        predicted: The loss that the map predicts, (N, Q), float64.
        actual: The loss of the model, (N, Q), float64.
    """

    predicted: Tensor
    actual: Tensor


def compute_square_losses(context: PerturbationContext, side: int) -> SquareLosses:
    """Computes the losses for a grid of squares of `side` pixels, each filled alone."""
    height, width = context.saliency.shape[1:]
    grid = patch_labels(height, width, side)
    num_squares = int(grid.max()) + 1
    labels = grid.to(context.images.device)
    outputs = context.query_hidden(lambda _, square: labels == square[:, None, None], num_squares)
    change = (context.images - context.fills["minimum"]).double().sum(1)
    predicted = part_sums(context.saliency.double() * change, labels.expand_as(context.saliency), num_squares)
    return SquareLosses(predicted=predicted, actual=context.unperturbed().logit - outputs.logit)


INFIDELITY = Metric(
    name="infidelity",
    compute=infidelity,
    bounds=(0.0, 1.0),
    higher_is_better=False,
    source="Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations, NeurIPS, definition 2.1, scaled",
)
