"""The memory layout of networks: channels last, which is faster, except where torch writes out of bounds with it."""

import math

import torch
from torch import Tensor, nn

MIN_CHANNELS = 16
"""Minimum number of input channels with which the backward pass of a pointwise convolution with a stride is safe."""


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """Moves a network to a device, channels last.

    On the CPU, torch 2.14 writes out of bounds in the backward pass of a 1 x 1 convolution with a stride and fewer than
    16 input channels, if input or weights are channels last. Networks with such a layer, among them RepVGG, MobileOne
    and FastViT, stay in the default layout there, whatever the layout of the images. The layers decide, not the name.

    Args:
        model: The network. It is changed in place.
        device: The device.

    Returns:
        The network itself.
    """
    endangered = find_endangered_layers(model) if device.type == "cpu" else []
    if not endangered:
        return model.to(memory_format=torch.channels_last).to(device)
    for module in (model, *endangered):
        module.register_forward_pre_hook(_make_contiguous)
    return model.to(device)


def find_endangered_layers(model: nn.Module) -> list[nn.Conv2d]:
    """Returns the pointwise convolutions with a stride and fewer than 16 input channels per group."""
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and math.prod(module.stride) > 1
        and module.in_channels // module.groups < MIN_CHANNELS
    ]


def _make_contiguous(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # With one channel or one pixel, both layouts have the same strides, and torch takes the default one.
    return (inputs[0].contiguous(), *inputs[1:])
