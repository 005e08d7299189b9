"""Tensors over a socket between the judge and a box: bounded, typed, and without any code."""

import math
import socket
import struct
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

HEAD = struct.Struct("<BB")
"""Operation and number of tensors."""
SHAPE = struct.Struct("<BBB4I")
"""Type, number of dimensions, layout, and sizes of a tensor."""
MAX_TENSORS = 4
MAX_DIMENSIONS = 4
MAX_BYTES = 4 * 1024**3
"""Maximum size of a tensor."""
TYPES = (torch.float32, torch.float64, torch.int64, torch.uint8)


class Operation(IntEnum):
    """What a message asks for or holds."""

    RUN = 1
    RUN_TO_LAYER = 2
    RUN_FROM_LAYER = 3
    GRADIENT = 4
    LAYER_GRADIENT = 5
    SECOND_GRADIENT = 6
    MASKS = 7
    ANSWER = 8
    ERROR = 9


class WireError(Exception):
    """The other side has ended, or sent what the protocol does not have."""


def send(channel: socket.socket, operation: Operation, *tensors: Tensor) -> None:
    """Sends a message. Tensors keep their memory layout, since the kernels of torch depend on it.

    Raises:
        WireError: The other side has ended.
    """
    try:
        channel.sendall(HEAD.pack(operation, len(tensors)))
        for tensor in tensors:
            plain = tensor.detach().cpu()
            channels_last = plain.ndim == 4 and plain.is_contiguous(memory_format=torch.channels_last)
            sizes = [*plain.shape, *[0] * (MAX_DIMENSIONS - plain.ndim)]
            channel.sendall(SHAPE.pack(TYPES.index(plain.dtype), plain.ndim, channels_last, *sizes))
            array = (plain.permute(0, 2, 3, 1) if channels_last else plain).contiguous().numpy()
            channel.sendall(array.reshape(-1).view(np.uint8).data)
    except OSError:
        raise WireError("the other side has ended") from None


def receive(channel: socket.socket) -> tuple[Operation, list[Tensor]]:
    """Receives a message.

    Raises:
        WireError: The other side has ended, or sent what the protocol does not have.
    """
    code, count = HEAD.unpack(_read(channel, HEAD.size))
    if code not in set(Operation) or count > MAX_TENSORS:
        raise WireError(f"a message of type {code} with {count} tensors")
    return Operation(code), [_receive_tensor(channel) for _ in range(count)]


def _receive_tensor(channel: socket.socket) -> Tensor:
    kind, ndim, channels_last, *sizes = SHAPE.unpack(_read(channel, SHAPE.size))
    if kind >= len(TYPES) or ndim > MAX_DIMENSIONS or channels_last not in {0, ndim == 4}:
        raise WireError(f"a tensor of type {kind} with {ndim} dimensions")
    shape = sizes[:ndim]
    num_bytes = math.prod(shape) * TYPES[kind].itemsize
    if num_bytes > MAX_BYTES:
        raise WireError(f"a tensor of {num_bytes} bytes")
    content = _read(channel, num_bytes)
    tensor = torch.frombuffer(content, dtype=TYPES[kind]) if num_bytes else torch.empty(0, dtype=TYPES[kind])
    if channels_last:
        return tensor.reshape(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)
    return tensor.reshape(shape)


def _read(channel: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    view, filled = memoryview(content), 0
    while filled < size:
        try:
            count = channel.recv_into(view[filled:])
        except OSError:
            count = 0
        if not count:
            raise WireError("the other side has ended")
        filled += count
    return content
