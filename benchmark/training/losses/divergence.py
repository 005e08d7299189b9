"""Kullback-Leibler divergence of two predictions."""

from torch import Tensor
from torch.nn import functional

from benchmark.runtime.precision import precise


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Computes the Kullback-Leibler divergence KL(p || q) of each image, between the softmax p and q of two logits.

    Computed in float64: in lower precision, the difference of two close or confident predictions is mostly rounding.
    Gradients flow into both.

    Args:
        logits: Of p, (N, C).
        others: Of q, (N, C).

    Returns:
        (N,), float64, in nats. Not negative except for rounding, and 0 where the predictions are equal.

    Example:
        >>> import torch
        >>> divergence(torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
        tensor([0.1201, 0.0000], dtype=torch.float64)
    """
    log_p, log_q = precise(logits).log_softmax(dim=1), precise(others).log_softmax(dim=1)
    return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1)
