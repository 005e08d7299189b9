"""Checks the inputs of metrics that are called directly, such as from a notebook.

The benchmark prepares its own inputs and calls the entries, which do not check again.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.sharing import sharing

Array = Tensor | NDArray[Any]
"""A tensor, or a NumPy array, which is converted without a copy where possible."""

FULL = 255
"""The value of a fully marked pixel in a file of 8 bits."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def checked(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Adds checks to a metric, whose intermediate results are computed once.

    The original function is the attribute `unchecked` of the result.
    """
    signature = inspect.signature(compute)

    @functools.wraps(compute)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        with sharing():
            return compute(**check_inputs(**signature.bind(*args, **kwargs).arguments))

    call.unchecked = compute  # type: ignore[attr-defined]
    return call


def check_inputs(**inputs: Any) -> dict[str, Any]:
    """Converts and checks inputs of metrics, by their names in :data:`metrics.INPUTS`.

    Maps (N, H, W) are numbers. Unsigned ones of 8 bits are divided by 255 if any value exceeds 1. With a reference,
    they must be in [0, 1], so that :func:`metrics.normalize.normalize` is not forgotten. A map that is not finite
    passes, and scores NaN.
    References (N, H, W) are in [0, 1]. Hard masks (N, H, W) are bool. Both may be integers: 0 and 255, or 0 and 1.
    Images (N, 3, H, W) are floats in [0, 1], or 8-bit.

    Returns:
        The inputs as tensors. Other inputs are unchanged.

    Raises:
        TypeError: An input is no array, or has values of another type.
        ValueError: An input has another shape, device or range. The message names a remedy.

    Example:
        >>> check_inputs(mask=np.array([[[0, 255]]], dtype=np.uint8))["mask"].tolist()
        [[[False, True]]]
    """
    arrays = {name: _tensor(name, value) for name, value in inputs.items() if name in _CONVERTERS}
    for name, tensor in arrays.items():
        _check_shape(name, tensor)
    converted = {name: _CONVERTERS[name](name, tensor) for name, tensor in arrays.items()}
    _check_equal(converted)
    if "reference" in converted and "saliency" in converted:
        _check_range("saliency", converted["saliency"], "scale it with metrics.normalize.normalize")
    return {**inputs, **converted}


def _tensor(name: str, value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is a {type(value).__name__}; give a tensor or a NumPy array")
    if value.dtype.kind == "u" and value.dtype.itemsize > 1:  # torch has hardly any operation for these
        value = value.astype(np.int64)
    try:
        return torch.from_numpy(np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("=")))
    except TypeError:
        raise TypeError(f"{name} has values of type {value.dtype}; convert it to float32") from None


def _check_shape(name: str, tensor: Tensor) -> None:
    shape = tuple(tensor.shape)
    if name == "images":
        if tensor.ndim != 4 or shape[1] != 3:
            remedy = "images.permute(0, 3, 1, 2)" if shape[3:] == (3,) else "RGB images"
            raise ValueError(f"images have the shape {shape}, not (N, 3, H, W); give {remedy}")
    elif tensor.ndim != 3:
        remedies = {2: f"{name}[None] for one image", 4: f"{name}[:, 0], or reduce the channels to one"}
        raise ValueError(
            f"{name} has the shape {shape}, not (N, H, W); give {remedies.get(tensor.ndim, 'one value per pixel')}"
        )
    if not tensor.numel():
        raise ValueError(f"{name} has the shape {shape}; give at least one image and pixel")


def _check_equal(tensors: dict[str, Tensor]) -> None:
    """Checks that all inputs have the same number of images, size and device."""
    sizes = {name: (len(tensor), *tensor.shape[-2:]) for name, tensor in tensors.items()}
    if len(set(sizes.values())) > 1:
        listed = " and ".join(f"{name} {size}" for name, size in sizes.items())
        same_count = len({size[0] for size in sizes.values()}) == 1
        remedy = "resize the maps to the masks" if same_count else "give one of each per image"
        raise ValueError(f"sizes differ: {listed} as (N, H, W); {remedy}")
    devices = {name: str(tensor.device) for name, tensor in tensors.items()}
    if len(set(devices.values())) > 1:
        listed = " and ".join(f"{name} on {device}" for name, device in devices.items())
        raise ValueError(f"devices differ: {listed}; move them to one")


def _check_range(name: str, tensor: Tensor, remedy: str) -> None:
    """Checks that finite values are in [0, 1]."""
    low, high = (float(extreme) for extreme in torch.aminmax(tensor.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)))
    if low < 0 or high > 1:
        raise ValueError(f"{name} has values from {low:g} to {high:g}, not in [0, 1]; {remedy}")


def _saliency(name: str, tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.dtype in INTEGERS[1:] else _degrees(name, tensor)


def _reference(name: str, tensor: Tensor) -> Tensor:
    reference = _degrees(name, tensor)
    if not bool(reference.isfinite().all()):
        raise ValueError(f"{name} has values that are not finite; leave these images out")
    _check_range(name, reference, "divide masks of 8 bits by 255")
    return reference


def _degrees(name: str, tensor: Tensor) -> Tensor:
    """Returns floats unchanged, bool as 0 and 1, and 8 bits divided by 255 unless the largest value is 1.

    Wider integers are hard masks that NumPy made, such as by `where`: 0 and 1, or 0 and 255.
    """
    if tensor.dtype in FLOATS:
        return tensor
    if tensor.dtype == torch.bool:
        return tensor.float()
    if tensor.dtype not in INTEGERS:
        raise TypeError(f"{name} has values of type {tensor.dtype}; give floats, or 8 bits")
    if tensor.dtype != torch.uint8 and not bool(((tensor == 0) | (tensor == 1) | (tensor == FULL)).all()):
        raise TypeError(f"{name} has integers other than 0, 1 and 255; give floats in [0, 1], or 8 bits")
    return tensor.float() / (FULL if int(tensor.max()) > 1 else 1)


def _mask(name: str, tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.bool:
        return tensor
    if tensor.dtype not in (*FLOATS, *INTEGERS):
        raise TypeError(f"{name} has values of type {tensor.dtype}; give bool")
    marked = tensor != 0
    high = tensor.max()
    if not bool(((tensor == high) | ~marked).all()) or float(high) not in {0, 1, FULL}:
        raise ValueError(f"{name} is soft: it has values other than 0 and 1, or 0 and 255; give {name} > 0.5")
    return marked


def _images(name: str, tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.uint8:
        return tensor.float() / FULL
    if tensor.dtype not in FLOATS:
        raise TypeError(f"{name} have values of type {tensor.dtype}; give floats in [0, 1], or 8 bits")
    _check_range(name, tensor, "divide images of 8 bits by 255, and undo the normalization of a network")
    return tensor


_CONVERTERS: dict[str, Callable[[str, Tensor], Tensor]] = {
    "saliency": _saliency,
    "reference": _reference,
    "mask": _mask,
    "images": _images,
}
