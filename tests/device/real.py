"""A real device in the place of the simulated one, for machines that have a GPU."""

import torch
from torch import Tensor

from tests.device.simulated import Card, Wait, to_card, to_cpu

TOLERANCE = 1e-2
"""Largest difference of two devices, as a share of the largest number: other kernels sum in another order."""


class RealCard:
    """A device of this machine. It records no waits, and its numbers differ from the CPU's by rounding."""

    exact = False

    def __init__(self, device: torch.device) -> None:
        self.device = torch.empty(0, device=device).device
        self.waits: list[Wait] = []

    def put(self, tensor: Tensor) -> Tensor:
        """Returns a copy on the device."""
        return tensor.to(self.device, copy=True)


def put_on(tensor: Tensor, device: torch.device) -> Tensor:
    """Returns a copy on a device, simulated or real, without a record."""
    return to_card(tensor) if device.type == "card" else tensor.to(device, copy=True)


def close(card: Card | RealCard, there: Tensor, here: Tensor) -> bool:
    """Whether numbers of the card are those of the CPU: to the bit on a simulated card, else up to rounding."""
    there = to_cpu(there).cpu()
    if card.exact:
        return torch.equal(there.nan_to_num(nan=7.0), here.nan_to_num(nan=7.0)) and there.dtype == here.dtype
    one, other = there.double().nan_to_num(nan=7.0), here.detach().double().nan_to_num(nan=7.0)
    return bool((one - other).abs().max() <= TOLERANCE * other.abs().max().clamp(min=1e-12))
