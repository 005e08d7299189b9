"""How far two predictions are apart."""

from torch import Tensor
from torch.nn import functional


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(p || q) of each image, from the softmax p of some logits to q of others.

    Computed in float32: in half precision the difference of two near predictions is mostly rounding. Gradients run
    into both.

    Args:
        logits: Of p, (N, C).
        others: Of q, (N, C).

    Returns:
        (N,), float32, in nats; not negative but for rounding, 0 where the predictions are the same.

    Example:
        >>> import torch
        >>> divergence(torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
        tensor([0.1201, 0.0000])
    """
    before, after = (each.float().log_softmax(dim=1) for each in (logits, others))
    return functional.kl_div(after, before, reduction="none", log_target=True).sum(dim=1)
