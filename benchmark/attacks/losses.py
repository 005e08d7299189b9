"""What an attack on the prediction raises."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Loss = Literal["ce", "dlr", "margin"]
"""The names of :data:`LOSSES`."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, (N,), of logits (N, C), as the logarithm of one plus the odds against the true class.

    The usual difference of a logsumexp and a logit is zero, and so is the true class's part of the gradient, where the
    other classes are less probable than an ulp of one. Odds are exact until they underflow, in float64 at 1e-308.

    Example:
        >>> surprise(torch.tensor([[50.0, 0.0]], dtype=torch.float64), torch.tensor([0])).item() > 0
        True
    """
    own = labels[:, None]
    against = logits.scatter(1, own, -torch.inf).logsumexp(dim=1) - logits.gather(1, own)[:, 0]
    return functional.softplus(against, threshold=40.0)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """How far the best other class leads the true one, (N,), of logits (N, C); positive where the model errs."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(dim=1) - logits.gather(1, labels[:, None])[:, 0]


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio, (N,), of logits (N, C): the margin over the first logit's lead on the third.

    Raises:
        ValueError: There are fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise ValueError(f"the dlr loss needs 3 classes or more, the model has {logits.shape[1]}; use loss='margin'")
    largest = logits.topk(3, dim=1).values
    lead = largest[:, 0] - largest[:, 2]
    # Nothing is added to the lead, so that the scale of the logits counts nowhere; without one the margin is zero too.
    return margin(logits, labels) / torch.where(lead > 0, lead, 1.0)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": cross_entropy,
    "dlr": dlr,
    "margin": margin,
}
