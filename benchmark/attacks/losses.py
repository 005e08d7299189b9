"""Losses that attacks on the prediction maximize."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Loss = Literal["ce", "dlr", "margin"]
"""The names of :data:`LOSSES`."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Computes the cross-entropy, (N,), of logits (N, C), as the logarithm of one plus the odds against the true class.

    The usual difference of logsumexp and logit is zero where the other classes are less probable than an ulp of one.
    So is the true class's part of its gradient. Odds are exact until they underflow, in float64 at 1e-308.

    Example:
        >>> cross_entropy(torch.tensor([[50.0, 0.0]], dtype=torch.float64), torch.tensor([0])).item() > 0
        True
    """
    own = labels[:, None]
    against = logits.scatter(1, own, -torch.inf).logsumexp(dim=1) - logits.gather(1, own)[:, 0]
    return functional.softplus(against, threshold=40.0)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Computes the lead of the best other class over the true one, (N,), of logits (N, C). Positive means wrong."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(dim=1) - logits.gather(1, labels[:, None])[:, 0]


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Computes the difference of logits ratio, (N,), of logits (N, C).

    It is the margin divided by the difference of the first and the third logit.

    Raises:
        ValueError: There are fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise ValueError(f"the dlr loss needs 3 classes or more, the model has {logits.shape[1]}; use loss='margin'")
    largest = logits.topk(3, dim=1).values
    lead = largest[:, 0] - largest[:, 2]
    # No constant is added to the lead, so that the scale of the logits cancels. A lead of 0 has a margin of 0 too.
    return margin(logits, labels) / torch.where(lead > 0, lead, 1.0)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": cross_entropy,
    "dlr": dlr,
    "margin": margin,
}
