"""Losses in double precision, from the logits on."""

from torch import Tensor


def precise(logits: Tensor) -> Tensor:
    """The values in float64, and the gradient back in their own type; in float32 on a device that knows no float64.

    A network that is sure of a class has a probability of one but for an ulp. In float32 the loss and its gradient are
    then rounding, and from a lead of 17 logits on they are zero. In float64 they have that many more digits. It costs
    next to nothing: logits are (N, C), and the network itself stays as it is. Autocast leaves float64 alone.

    Args:
        logits: Any shape, float.

    Example:
        >>> import torch
        >>> sure, label = torch.tensor([[20.0, 0.0]]), torch.tensor([0])
        >>> torch.nn.functional.cross_entropy(sure, label).item()
        0.0
        >>> f"{torch.nn.functional.cross_entropy(precise(sure), label).item():.1e}"
        '2.1e-09'
    """
    return logits.float() if logits.device.type == "mps" else logits.double()
