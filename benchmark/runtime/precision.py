"""Losses in double precision, computed from the logits."""

from torch import Tensor


def precise(logits: Tensor) -> Tensor:
    """Casts values to float64, or to float32 on a device without float64. The gradient returns in their own type.

    A confident network predicts a probability within an ulp of one. In float32 the loss and its gradient are then
    rounding errors, and zero from a margin of 17 logits on. In float64 they have more digits. The cost is small:
    logits are (N, C), and the network itself does not change. Autocast does not affect float64.

    Args:
        logits: Any shape, float.

    Example:
        >>> import torch
        >>> confident, label = torch.tensor([[20.0, 0.0]]), torch.tensor([0])
        >>> torch.nn.functional.cross_entropy(confident, label).item()
        0.0
        >>> f"{torch.nn.functional.cross_entropy(precise(confident), label).item():.1e}"
        '2.1e-09'
    """
    return logits.float() if logits.device.type == "mps" else logits.double()
