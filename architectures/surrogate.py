"""The linear surrogate of a network, which has its strides, kernels and padding, and little else of it.

Normalization and activations are identities, gates are open, each attention token attends to itself, and max pooling is
mean pooling. Of a gated linear unit, the product of two layers, the first one remains. Padding extrapolates rows and
columns beyond the image. All kernels are uniform, or have the mean energy of the trained kernels at each tap.

A surrogate is a copy of the network without weights (:func:`without_weights`, :func:`with_kernel_energy`) that runs
within :class:`LinearMode`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def without_weights(network: nn.Module) -> nn.Module:
    """Returns a copy on the CPU, in evaluation mode, whose parameters are all one and take no memory."""
    return _copy_with(network, lambda _parameter: torch.ones((), dtype=torch.float64))


def with_kernel_energy(network: nn.Module) -> nn.Module:
    """Returns a copy like :func:`without_weights` whose kernels are the mean energy of the trained ones at each tap.

    The squares of an output channel's weights are divided by their sum, and then averaged over all channels. So every
    channel counts alike, as it does after normalization. If weights are independent with mean zero, the energy of the
    gradient spreads through the layers by exactly these kernels (Luo et al., Understanding the effective receptive
    field, 2016, section 2). A kernel without weights counts as uniform.
    """
    return _copy_with(network, _kernel_energy)


def _kernel_energy(parameter: Tensor) -> Tensor:
    if parameter.ndim != 4:
        return torch.ones((), dtype=torch.float64)
    energy = parameter.detach().to("cpu", torch.float64).square().sum(dim=1)
    total = energy.sum(dim=(1, 2), keepdim=True)
    return torch.where(total > 0, energy / total, 1 / energy[0].numel()).mean(dim=0)


def _copy_with(network: nn.Module, replacement: Callable[[Tensor], Tensor]) -> nn.Module:
    """Returns a copy on the CPU, in evaluation mode, with each parameter replaced by an expanded smaller one."""
    # deepcopy takes objects in the memo as already copied.
    memo: dict[int, Tensor] = {}
    for buffer in network.buffers():
        dtype = torch.float64 if buffer.is_floating_point() else buffer.dtype
        memo[id(buffer)] = buffer.detach().to("cpu", dtype, copy=True)
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(replacement(parameter).expand(parameter.shape), requires_grad=False)
    return copy.deepcopy(network, memo).eval()


class LinearMode(TorchFunctionMode):
    """Replaces every call of a function in :data:`RULES` while it is active.

    Equal channels share their memory (stride 0). Without that, a surrogate costs as much as its network.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls the function or its linear replacement."""
        name = getattr(func, "__name__", "")
        plain = name.strip("_")
        if plain in ARITHMETIC:
            return _arithmetic(ARITHMETIC[plain], args, kwargs or {}, in_place=name.endswith("_"))
        if name.endswith("_") and name.strip("_") not in RULES and not name.startswith("__get"):
            # An in-place write needs separate memory for every channel.
            args[0].data = args[0].contiguous()
        return RULES.get(name.removesuffix("_"), func)(*args, **(kwargs or {}))


def _arithmetic(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *, in_place: bool) -> Any:
    """Applies an elementwise function, once for all channels if they are equal. Of a gated unit the first remains."""
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    if func is torch.mul and _is_gated(tensors):
        return tensors[0]
    if all(_has_equal_channels(tensor) or tensor.numel() == 1 for tensor in tensors) and tensors:
        shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
        firsts = (_first_channel(arg) if isinstance(arg, Tensor) else arg for arg in args)
        result = func(*firsts, **kwargs).expand(shape)
    else:
        result = func(*args, **kwargs)
    if not in_place:
        return result
    args[0].data = result
    return args[0]


def _is_gated(tensors: Sequence[Tensor]) -> bool:
    """Returns whether the factors are two different layers of the image. A layer times itself is no gate."""
    if len(tensors) != 2 or tensors[0] is tensors[1] or tensors[0].shape != tensors[1].shape:
        return False
    return all(len(tensor) > 1 and not torch.equal(tensor[0], tensor[1]) for tensor in tensors)


def _has_equal_channels(values: Tensor) -> bool:
    """Returns whether all channels of a grid (N, K, h, w) share their memory."""
    return values.ndim == 4 and (values.shape[1] == 1 or values.stride(1) == 0)


def _first_channel(values: Tensor) -> Tensor:
    return values[:, :1] if values.ndim == 4 else values


def _once_if_equal(rule: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wraps a rule for grids to run once for all channels if they are equal."""

    def apply(values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not _has_equal_channels(values):
            return rule(values, *args, **kwargs)
        return rule(_first_channel(values), *args, **kwargs).expand(-1, values.shape[1], -1, -1)

    return apply


def _same(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return values


def _open(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.ones((), dtype=values.dtype).expand(values.shape)


def _to_itself(scores: Tensor, *_: Any, **__: Any) -> Tensor:
    """Returns attention (..., queries, keys) of every token to itself. A softmax over anything else is uniform."""
    if scores.ndim > 2 and scores.shape[-1] == scores.shape[-2]:
        return torch.eye(scores.shape[-1], dtype=scores.dtype).expand(scores.shape)
    return torch.full_like(scores, 1 / scores.shape[-1])


def _value(_query: Tensor, _key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    return value


def _linear(values: Tensor, weight: Tensor, *_: Any, **__: Any) -> Tensor:
    """Replaces a dense layer: every output is the mean of the features."""
    return values.mean(-1, keepdim=True).expand(*values.shape[:-1], len(weight))


def _convolution(  # noqa: PLR0917 - the arguments of torch's
    values: Tensor,
    weight: Tensor,
    _bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Replaces a convolution: each output channel is the mean of the inputs of its group, weighted alike in all."""
    mean = _first_channel(values) if _has_equal_channels(values) else values.unflatten(1, (groups, -1)).mean(2)
    for dim, kernel, step, gap, pad in _by_axis(weight.shape[2:], stride, dilation, padding):
        reach = gap * (kernel - 1)
        before, after = (reach // 2, reach - reach // 2) if pad == "same" else (0, 0) if pad == "valid" else (pad, pad)
        mean = _windows(_extended(mean, dim, before, after), dim, step, gap, _taps(weight, dim, kernel))
    if mean.shape[1] == 1:
        return mean.expand(-1, len(weight), -1, -1)
    return mean.repeat_interleave(len(weight) // groups, dim=1)


def _pooling(
    values: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *rest: Any, **named: Any
) -> Tensor:
    """Replaces max and mean pooling by mean pooling. Only max pooling has a dilation, the first value of `rest`."""
    dilation = named.get("dilation", next((arg for arg in rest[:1] if not isinstance(arg, bool)), 1))
    ceil = bool(named.get("ceil_mode", next((arg for arg in rest[:2] if isinstance(arg, bool)), False)))
    for dim, kernel, step, gap, pad in _by_axis(_pair(kernel_size), stride or kernel_size, dilation, padding):
        reach = gap * (kernel - 1)
        free = values.shape[dim] + 2 * pad - reach - 1
        # A last window that begins beyond the image and its padding is left out.
        begun = free % step and (free // step + 1) * step < values.shape[dim] + pad
        after = pad + (step - free % step if ceil and begun else 0)
        uniform = torch.full((kernel,), 1 / kernel, dtype=values.dtype)
        values = _windows(_extended(values, dim, pad, after), dim, step, gap, uniform)
    return values


def _pad(values: Tensor, pad: Sequence[int], *_: Any, **__: Any) -> Tensor:
    """Replaces padding of any kind, including negative, along the last two axes."""
    if len(pad) > 4 or values.ndim < 4:
        return torch.nn.functional.pad(values, pad)
    for index in range(0, len(pad), 2):
        values = _extended(values, values.ndim - 1 - index // 2, pad[index], pad[index + 1])
    return values


def _resized(
    values: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    _mode: str = "",
    align_corners: Any = None,
    **_: Any,
) -> Tensor:
    """Replaces resizing of any kind by linear interpolation between centers."""
    for dim, axis in ((2, 0), (3, 1)):
        length = values.shape[dim]
        new_length = int(length * _pair(scale_factor)[axis]) if size is None else _pair(size)[axis]
        factor = _pair(scale_factor)[axis] if size is None else new_length / length
        corner = align_corners and new_length > 1
        step = (length - 1) / (new_length - 1) if corner else 1 / factor
        positions = torch.arange(new_length) * step + (0 if corner else (step - 1) / 2)
        values = _sampled(values, dim, positions)
    return values


def _sampled(values: Tensor, dim: int, positions: Tensor) -> Tensor:
    """Interpolates values linearly at positions (M,) along an axis, and extrapolates beyond its ends."""
    if values.shape[dim] == 1:
        return values.expand(*values.shape[:dim], len(positions), *values.shape[dim + 1 :])
    lower = positions.floor().long().clamp(0, values.shape[dim] - 2)
    fraction = (positions - lower).to(values.dtype).view(-1, *(1,) * (values.ndim - 1 - dim))
    low, high = values.index_select(dim, lower), values.index_select(dim, lower + 1)
    return low + fraction * (high - low)


def _extended(values: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Extrapolates an axis by a number of values before and after. Negative numbers crop it."""
    if not before and not after:
        return values
    return _sampled(values, dim, torch.arange(-before, values.shape[dim] + after))


def _taps(weight: Tensor, dim: int, kernel: int) -> Tensor:
    """Returns the share of each tap of a kernel along an axis. Code of a network may have made the sum zero."""
    taps = weight[0, 0].sum(dim=3 - dim)
    total = taps.sum()
    return taps / total if total > 0 else torch.full((kernel,), 1 / kernel, dtype=taps.dtype)


def _windows(values: Tensor, dim: int, step: int, gap: int, weights: Tensor) -> Tensor:
    """Computes means of sliding windows along an axis, weighted by weights (kernel,) of sum 1."""
    kernel = len(weights)
    if kernel == step == 1:
        return values
    length = values.shape[dim] - gap * (kernel - 1)
    strided = (slice(None),) * dim + (slice(None, None, step),)
    taps = [weight * values.narrow(dim, gap * tap, length)[strided] for tap, weight in enumerate(weights.tolist())]
    return sum(taps[1:], start=taps[0])


def _by_axis(kernel: Sequence[int], stride: Any, dilation: Any, padding: Any) -> list[tuple[int, int, int, int, Any]]:
    """Lists dimension, kernel, stride, dilation and padding of both axes."""
    return list(zip((2, 3), kernel, _pair(stride), _pair(dilation), _pair(padding), strict=True))


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value, value
    return (value[0], value[-1])


IDENTITIES = (
    *("relu", "relu6", "hardtanh", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "silu", "gelu", "mish"),
    *("hardswish", "softplus", "tanh", "dropout", "dropout2d", "alpha_dropout", "normalize"),
    *("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"),
)
ARITHMETIC: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("add", "iadd"), torch.add),
    **dict.fromkeys(("sub", "isub"), torch.sub),
    **dict.fromkeys(("mul", "imul", "multiply"), torch.mul),
    **dict.fromkeys(("div", "idiv", "itruediv", "true_divide"), torch.div),
}
"""Elementwise functions of two arguments, by the names in torch and Python without underscores."""
RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(IDENTITIES, _same),
    **dict.fromkeys(("sigmoid", "hardsigmoid"), _open),
    "softmax": _to_itself,
    "scaled_dot_product_attention": _value,
    "linear": _linear,
    "conv2d": _convolution,
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _once_if_equal(_pooling)),
    "pad": _once_if_equal(_pad),
    **dict.fromkeys(("interpolate", "upsample"), _once_if_equal(_resized)),
}
"""Linear replacements, by the name in torch without the underscore of in-place functions."""
