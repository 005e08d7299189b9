"""Where the cells of a layer's grid lie on the image.

Pixels are counted from 0, and a pixel's whole number is its center: an image of H rows reaches from -1/2 to H - 1/2.

A 3 x 3 convolution of stride 2 that pads one pixel on both sides looks, for cell i, at pixels 2i - 1 to 2i + 1. Its
center is pixel 2i. A grid that is stretched over the image is shown at 2i + 1/2. Five such layers make 32i and
32i + 15 1/2. Here the centers are computed, for any network, by running a stand-in of it that is linear.

In the stand-in every kernel is uniform, normalization and activations do nothing, gates are open, attention leaves
each token where it is, and max pooling is mean pooling. An image whose pixels hold their own row (or column) then
comes out with the mean row of all pixels that a cell sees: the centroid of its receptive field. Branches count by
their channels.

At the border padding hides a part of that field, and the centroid of what is left lies further inside. The rule here
is that the border does not count: padding continues the rows and columns beyond the image. So a cell's center depends
on strides, kernels and padding alone, centers are evenly spaced, and that of a cell at the border can lie outside of
the image. It is what cells in the middle of an image of any size have.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

TOLERANCE = 1e-3
"""How far, in pixels, centers may lie off an even spacing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One direction of a grid on an image.

    Attributes:
        first: Center of the first cell, in pixels.
        spacing: Distance between the centers of neighbors, in pixels; that of a single cell is the whole image.
        cells: Number of cells, at least 1.
        pixels: Number of pixels.
    """

    first: float
    spacing: float
    cells: int
    pixels: int

    @property
    def centers(self) -> Tensor:
        """Centers of all cells, (cells,), float64, in pixels.

        Example:
            >>> Axis(first=0.0, spacing=32.0, cells=3, pixels=96).centers.tolist()
            [0.0, 32.0, 64.0]
        """
        return self.first + self.spacing * torch.arange(self.cells, dtype=torch.float64)

    @property
    def displacement(self) -> float:
        """How far too far down (or right) cells are shown, on average, if the grid is stretched over the image.

        Example:
            >>> Axis(first=0.0, spacing=32.0, cells=3, pixels=96).displacement
            15.5
        """
        return (self.pixels - 1) / 2 - float(self.centers.mean())


def stretched(cells: int, pixels: int) -> Axis:
    """The cells as stretching shows them: side by side, filling the image, each in the middle of its share.

    Example:
        >>> stretched(3, 96).centers.tolist()
        [15.5, 47.5, 79.5]
    """
    return Axis(first=(pixels / cells - 1) / 2, spacing=pixels / cells, cells=cells, pixels=pixels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """A grid on an image: its rows and its columns."""

    rows: Axis
    columns: Axis


def grid_geometry(network: nn.Module, layer: str, size: Sequence[int]) -> Geometry:
    """Where the cells of a layer's grid lie on an image.

    The network is neither run nor changed: a copy without weights is run once, on the CPU. Weights have no say.

    Args:
        network: Takes images (N, 3, H, W).
        layer: Dotted name of a module inside it with output (N, K, h, w).
        size: Height and width of the image in pixels.

    Returns:
        Centers of the rows and columns of the grid, in pixels of the image.

    Raises:
        ValueError: The layer has no grid, or the stand-in is not linear, so that the geometry is not known.

    Example:
        >>> halving = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        >>> grid_geometry(nn.Sequential(halving, nn.ReLU()), "1", (96, 96)).rows
        Axis(first=0.0, spacing=2.0, cells=48, pixels=96)
    """
    ramps = _ramps(size)
    with torch.no_grad():
        found = _output(_without_weights(network), layer, ramps)
    if found.ndim != 4 or not found.is_floating_point() or len(found) != len(ramps):
        raise ValueError(f"layer {layer!r} puts out {tuple(found.shape)}, no grid (N, K, h, w)")
    _, one, down, right, both = found - found[0]
    scale = one.abs().amax()
    if not bool((one.mean(0) > 1e-6 * scale).all()) or not bool(found.isfinite().all()):
        raise ValueError(f"layer {layer!r}: its linear stand-in does not answer to the image")
    if float((2 * down + 3 * right - both).abs().amax() / scale) * max(size) > TOLERANCE:
        raise ValueError(f"layer {layer!r}: its stand-in is not linear; a module in front of it is not understood")
    rows = _axis(max(size) * (down.mean(0) / one.mean(0)), size[0], layer)
    columns = _axis(max(size) * (right.mean(0) / one.mean(0)).T, size[1], layer)
    return Geometry(rows=rows, columns=columns)


def _ramps(size: Sequence[int]) -> Tensor:
    """Images (5, 3, H, W): zeros, ones, each pixel's row, its column, and twice the one plus thrice the other."""
    down, right = (torch.arange(side, dtype=torch.float64) / max(size) for side in size)
    planes = torch.stack(
        [
            torch.zeros(*size, dtype=torch.float64),
            torch.ones(*size, dtype=torch.float64),
            down[:, None].expand(*size),
            right.expand(*size),
            2 * down[:, None] + 3 * right,
        ]
    )
    return planes[:, None].repeat(1, 3, 1, 1)


def _axis(centers: Tensor, pixels: int, layer: str) -> Axis:
    """The axis of centers (cells, any number of measurements), which must be evenly spaced."""
    mean = centers.mean(1)
    cells = len(mean)
    spacing = float(mean[-1] - mean[0]) / (cells - 1) if cells > 1 else float(pixels)
    axis = Axis(first=_rounded(float(mean[0])), spacing=_rounded(spacing), cells=cells, pixels=pixels)
    if float((centers - axis.centers[:, None]).abs().amax()) > TOLERANCE:
        raise ValueError(f"layer {layer!r}: the cells of its grid are not evenly spaced")
    return axis


def _rounded(pixels: float) -> float:
    """Without rounding in the last digits; keys and records shall not depend on the machine."""
    return round(pixels, 4) + 0.0


class _ReachedError(Exception):
    """The layer has put out what was wanted; what is behind it need not run."""


def _output(network: nn.Module, layer: str, images: Tensor) -> Tensor:
    """What the layer of a stand-in puts out."""
    caught: list[Tensor] = []

    def catch(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        caught.append(output.clone())
        raise _ReachedError

    network.get_submodule(layer).register_forward_hook(catch)
    try:
        with _Linear():
            network(images)
    except _ReachedError:
        return caught[0]
    except Exception as error:  # noqa: BLE001 - a network's own code may raise anything
        raise ValueError(f"layer {layer!r}: its linear stand-in fails: {error}") from None
    raise ValueError(f"layer {layer!r} does not run")


def _without_weights(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode, whose parameters are all one and take no memory."""
    # Deep copies look up here what they have copied already.
    memo: dict[int, Tensor] = {}
    for buffer in network.buffers():
        kept = buffer.detach().to("cpu", torch.float64 if buffer.is_floating_point() else buffer.dtype, copy=True)
        memo[id(buffer)] = kept
    for parameter in network.parameters():
        ones = torch.ones((), dtype=torch.float64).expand(parameter.shape)
        memo[id(parameter)] = nn.Parameter(ones, requires_grad=False)
    return copy.deepcopy(network, memo).eval()


class _Linear(TorchFunctionMode):
    """Replaces, while it is on, every call of a function in :data:`RULES`.

    Channels that are alike share their memory: without that, a stand-in costs as much as its network.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, or what stands for it."""
        name = getattr(func, "__name__", "")
        plain = name.strip("_")
        if plain in ARITHMETIC:
            return _arithmetic(ARITHMETIC[plain], args, kwargs or {}, in_place=name.endswith("_"))
        if name.endswith("_") and name.strip("_") not in RULES and not name.startswith("__get"):
            # Who writes in place gets memory of his own for every channel.
            args[0].data = args[0].contiguous()
        return RULES.get(name.removesuffix("_"), func)(*args, **(kwargs or {}))


def _arithmetic(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *, in_place: bool) -> Any:
    """What a function does value by value, once for all channels if they are alike."""
    tensors = [each for each in args if isinstance(each, Tensor)]
    if all(_alike(each) or each.numel() == 1 for each in tensors) and tensors:
        shape = torch.broadcast_shapes(*(each.shape for each in tensors))
        result = func(*(_one(each) if isinstance(each, Tensor) else each for each in args), **kwargs).expand(shape)
    else:
        result = func(*args, **kwargs)
    if not in_place:
        return result
    args[0].data = result
    return args[0]


def _alike(values: Tensor) -> bool:
    """Whether all channels of a grid (N, K, h, w) are one."""
    return values.ndim == 4 and (values.shape[1] == 1 or values.stride(1) == 0)


def _one(values: Tensor) -> Tensor:
    return values[:, :1] if values.ndim == 4 else values


def _on_one(rule: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A rule for grids, followed once for all channels if they are alike."""

    def follow(values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not _alike(values):
            return rule(values, *args, **kwargs)
        return rule(_one(values), *args, **kwargs).expand(-1, values.shape[1], -1, -1)

    return follow


def _same(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return values


def _open(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.ones((), dtype=values.dtype).expand(values.shape)


def _to_itself(scores: Tensor, *_: Any, **__: Any) -> Tensor:
    """Attention (..., queries, keys) of every token to itself; a softmax over anything else is uniform."""
    if scores.ndim > 2 and scores.shape[-1] == scores.shape[-2]:
        return torch.eye(scores.shape[-1], dtype=scores.dtype).expand(scores.shape)
    return torch.full_like(scores, 1 / scores.shape[-1])


def _value(_query: Tensor, _key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    return value


def _linear(values: Tensor, weight: Tensor, *_: Any, **__: Any) -> Tensor:
    """A dense layer: the mean of the features."""
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
    """A convolution: each output channel is the mean of what its group sees."""
    mean = _one(values) if _alike(values) else values.unflatten(1, (groups, -1)).mean(2)
    for dim, kernel, step, gap, pad in _by_axis(weight.shape[2:], stride, dilation, padding):
        reach = gap * (kernel - 1)
        before, after = (reach // 2, reach - reach // 2) if pad == "same" else (0, 0) if pad == "valid" else (pad, pad)
        mean = _windows(_extended(mean, dim, before, after), dim, kernel, step, gap)
    if mean.shape[1] == 1:
        return mean.expand(-1, len(weight), -1, -1)
    return mean.repeat_interleave(len(weight) // groups, dim=1)


def _pooling(
    values: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *rest: Any, **named: Any
) -> Tensor:
    """Mean pooling, for pooling of either kind; only the maximum knows of dilation, at the place that `rest` begins."""
    dilation = named.get("dilation", next((each for each in rest[:1] if not isinstance(each, bool)), 1))
    ceil = bool(named.get("ceil_mode", next((each for each in rest[:2] if isinstance(each, bool)), False)))
    for dim, kernel, step, gap, pad in _by_axis(_pair(kernel_size), stride or kernel_size, dilation, padding):
        reach = gap * (kernel - 1)
        free = values.shape[dim] + 2 * pad - reach - 1
        # A last window that begins beyond the image and its padding is left out.
        begun = free % step and (free // step + 1) * step < values.shape[dim] + pad
        after = pad + (step - free % step if ceil and begun else 0)
        values = _windows(_extended(values, dim, pad, after), dim, kernel, step, gap)
    return values


def _pad(values: Tensor, pad: Sequence[int], *_: Any, **__: Any) -> Tensor:
    """Padding of any kind, negative too, along the last two axes."""
    if len(pad) > 4 or values.ndim < 4:
        return torch.nn.functional.pad(values, pad)
    for place in range(0, len(pad), 2):
        values = _extended(values, values.ndim - 1 - place // 2, pad[place], pad[place + 1])
    return values


def _resized(
    values: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    _mode: str = "",
    align_corners: Any = None,
    **_: Any,
) -> Tensor:
    """Resizing of any kind, from center to center."""
    for dim, place in ((2, 0), (3, 1)):
        have = values.shape[dim]
        want = int(have * _pair(scale_factor)[place]) if size is None else _pair(size)[place]
        factor = _pair(scale_factor)[place] if size is None else want / have
        corner = align_corners and want > 1
        step = (have - 1) / (want - 1) if corner else 1 / factor
        places = torch.arange(want) * step + (0 if corner else (step - 1) / 2)
        values = _sampled(values, dim, places)
    return values


def _sampled(values: Tensor, dim: int, places: Tensor) -> Tensor:
    """Values at places (M,) along an axis, on straight lines through neighbors, which continue beyond the ends."""
    if values.shape[dim] == 1:
        return values.expand(*values.shape[:dim], len(places), *values.shape[dim + 1 :])
    lower = places.floor().long().clamp(0, values.shape[dim] - 2)
    share = (places - lower).to(values.dtype).view(-1, *(1,) * (values.ndim - 1 - dim))
    low, high = values.index_select(dim, lower), values.index_select(dim, lower + 1)
    return low + share * (high - low)


def _extended(values: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Values with so many more (or, negative, fewer) before and after along an axis, on the same straight line."""
    if not before and not after:
        return values
    return _sampled(values, dim, torch.arange(-before, values.shape[dim] + after))


def _windows(values: Tensor, dim: int, kernel: int, step: int, gap: int) -> Tensor:
    """Means of windows along an axis."""
    if kernel == step == 1:
        return values
    length = values.shape[dim] - gap * (kernel - 1)
    taps = [values.narrow(dim, gap * tap, length) for tap in range(kernel)]
    every = (slice(None),) * dim + (slice(None, None, step),)
    return sum((tap[every] for tap in taps[1:]), start=taps[0][every]) / kernel


def _by_axis(kernel: Sequence[int], stride: Any, dilation: Any, padding: Any) -> list[tuple[int, int, int, int, Any]]:
    """Dimension, kernel, stride, dilation and padding of both axes."""
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
"""Functions of two arguments that work value by value, by torch's and Python's names without underscores."""
RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(IDENTITIES, _same),
    **dict.fromkeys(("sigmoid", "hardsigmoid"), _open),
    "softmax": _to_itself,
    "scaled_dot_product_attention": _value,
    "linear": _linear,
    "conv2d": _convolution,
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _on_one(_pooling)),
    "pad": _on_one(_pad),
    **dict.fromkeys(("interpolate", "upsample"), _on_one(_resized)),
}
"""What stands for a function, by torch's name without the underscore of those that work in place."""
