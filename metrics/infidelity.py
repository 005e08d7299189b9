"""Does the map foretell how much the model loses with each square of the image?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics import Metric
from metrics.perturbation import PerturbationContext
from metrics.pixel_ordering import part_sums
from metrics.regions import patch_labels, patch_side

ACROSS = 10
"""Squares along the shorter side."""


def infidelity(context: PerturbationContext) -> Tensor:
    """Share of the logit lost with each square of the image that the map, at its best scale, does not foretell.

    The image is cut into squares, ten along its shorter side; each alone shows the image's darkest value. With I what
    a square loses in brightness, the map a foretells a.I (summed over pixels and channels), the model loses
    f(x) - f(x - I). A map has no unit, so it is multiplied by the factor of least square error (beta in the source),
    never a negative one; the squared error is divided by the squared loss, since logits have no unit either. So 0 is a
    map that foretells every loss up to one factor, 1 a map that foretells none, as a zero map does, or the wrong way
    round. A model that loses nothing with any square but what rounding
    takes, or a map that is not finite, scores NaN.

    Args:
        context: Model, N images and maps; its fill "minimum".

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
    found = squares(context, patch_side(height, width, ACROSS))
    along = (found.foretold * found.lost).sum(1).clamp(min=0) ** 2
    foretold, lost = ((values**2).sum(1) for values in (found.foretold, found.lost))
    explained = torch.where(foretold > 0, along / foretold, foretold)
    unmoved = found.lost.abs().amax(1) <= context.rounding()
    return (1 - explained / lost).clamp(0, 1).masked_fill(unmoved, torch.nan)


@dataclass(frozen=True, kw_only=True, slots=True)
class Squares:
    """What the map foretells and what the model loses with each square, (N, Q) each."""

    foretold: Tensor
    lost: Tensor


def squares(context: PerturbationContext, side: int) -> Squares:
    """Each square of a grid alone shows the fill."""
    height, width = context.saliency.shape[1:]
    labels = patch_labels(height, width, side).to(context.images.device)
    number = int(labels.max()) + 1
    outputs = context.hidden(lambda _, square: labels == square[:, None, None], number)
    change = (context.images - context.fills["minimum"]).double().sum(1)
    foretold = part_sums(context.saliency.double() * change, labels.expand_as(context.saliency), number)
    return Squares(foretold=foretold, lost=context.whole().logit - outputs.logit)


INFIDELITY = Metric(
    name="infidelity",
    compute=infidelity,
    bounds=(0.0, 1.0),
    higher_is_better=False,
    source="Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations, NeurIPS, definition 2.1, scaled",
)
