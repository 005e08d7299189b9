"""A simulated card: tensors of device `card:0` with real numbers, so that code for a GPU runs without one.

Each tensor wraps one of the CPU, which computes. The wrapper says that it lies on `card:0`. So numbers can be compared
with those of the CPU. What a GPU refuses is refused here, and what makes the host wait for it is recorded:

- An operation on tensors of the card and of the CPU is an error, with CUDA's exceptions: scalars (0-dim) in pointwise
  operations, indices, and copies.
- A value that is read back is recorded, be it a number, a copy to the CPU, or a shape that depends on values. So is a
  copy to the card that blocks. Both wait until the card has done all its work.

It knows nothing of speed, memory, streams, and of kernels that CUDA lacks.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import safetensors.torch
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torchvision import tv_tensors

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("architectures", "benchmark", "metrics")
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
"""Operations with indices, which may lie on the CPU, and of which masks give a shape that depends on values."""
CHECKED = {aten._linalg_eigh.default}
"""Operations that CUDA checks for failure on the host, among those that we use."""
DATA_DEPENDENT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
LOWERED = ("conv2d", "convolution", "_convolution", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm")
"""What autocast computes in its own type, of torch's list for CUDA."""
WIDENED = ("softmax.int", "log_softmax.int", "nll_loss", "cross_entropy_loss", "norm.ScalarOpt_dim")
"""What autocast computes in float32, of torch's list for CUDA."""

LIBRARIES: list[torch.library.Library] = []
"""Registrations end with their library."""


class MixedDevicesError(RuntimeError):
    """Tensors of the card and of the CPU in one operation."""


@dataclass(frozen=True, order=True)
class Wait:
    """A place of our code at which the host waits for the card.

    Attributes:
        file: Path from the root of the repository.
        function: Name of the function.
        kind: "read" from the card, or "write" to it.
    """

    file: str
    function: str
    kind: str


class OnCard(Tensor):
    """A tensor of the card. `held` is the tensor of the CPU that it wraps."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor):
        wrapper = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device("card:0"),
        )
        wrapper.held = held
        return wrapper

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(None, func, args, kwargs or {})

    def __repr__(self):
        return f"OnCard({self.held!r})"

    def __deepcopy__(self, memo):
        copy = memo[id(self)] = OnCard(self.held.detach().clone())
        copy._is_param = getattr(self, "_is_param", False)
        return copy.requires_grad_(self.requires_grad)

    def as_subclass(self, cls):
        return TYPES.get(cls, cls if issubclass(cls, OnCard) else OnCard)(self.held)

    def data_ptr(self):
        return self.held.data_ptr()

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self):
        raise TypeError("cannot convert a tensor of the card to numpy; use .cpu() first")

    def __reduce_ex__(self, _protocol):
        return to_card, (self.cpu(),)


class ImageOnCard(tv_tensors.Image, OnCard):
    """Images for torchvision's transforms."""

    __new__ = OnCard.__new__


class MaskOnCard(tv_tensors.Mask, OnCard):
    """Masks for torchvision's transforms."""

    __new__ = OnCard.__new__


TYPES = {tv_tensors.Image: ImageOnCard, tv_tensors.Mask: MaskOnCard}


class Card(TorchDispatchMode):
    """While it is active, there is a card.

    Attributes:
        device: The card.
        exact: Whether its numbers are those of the CPU to the bit.
        waits: Places at which the host waited for the card, in order.
    """

    exact = True

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device("card:0")
        self.waits: list[Wait] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _compute(self.note, func, args, kwargs or {})

    def put(self, tensor: Tensor) -> Tensor:
        """Wraps a tensor of the CPU, without a record."""
        return to_card(tensor)

    def note(self, kind: str) -> None:
        """Records where our code waits. Tests may read what they like."""
        for frame in reversed(traceback.extract_stack()):
            path = Path(frame.filename)
            # The frame of a comprehension or lambda is that of its function, as in later versions of Python.
            if (
                not frame.name.startswith("<")
                and path.is_relative_to(ROOT)
                and path.relative_to(ROOT).parts[0] in PRODUCT
            ):
                self.waits.append(Wait(path.relative_to(ROOT).as_posix(), frame.name, kind))
                return


@contextmanager
def simulated_card() -> Iterator[Card]:
    """Provides a card during the block."""
    register_card()
    load, built = torch.load, {name: getattr(torch, name) for name in ("tensor", "as_tensor")}
    replace = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    patches = {name: partial(_build, function) for name, function in built.items()}
    try:
        with (
            # A wrapper cannot be an inference tensor. Without a graph, the rest is the same.
            mock.patch.multiple(torch, load=partial(_load, load), inference_mode=_no_graph, **patches),
            mock.patch.multiple(
                safetensors.torch,
                storage_ptr=lambda tensor: to_cpu(tensor).untyped_storage().data_ptr(),
                storage_size=lambda tensor: to_cpu(tensor).untyped_storage().nbytes(),
            ),
            Card() as card,
        ):
            yield card
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(replace)


def to_card(tensor: Tensor) -> Tensor:
    """Wraps a tensor of the CPU, without a record."""
    return OnCard(tensor)


def to_cpu(tensor: Tensor) -> Tensor:
    """Unwraps a tensor of the card, without a record."""
    tensor = tensor.detach()
    return tensor.held if isinstance(tensor, OnCard) else tensor


@cache
def register_card() -> None:
    """Makes the device type known to torch, once per process, with its autocast."""
    from torch.utils.backend_registration import (  # noqa: PLC0415 - not in every version that has CUDA
        _setup_privateuseone_for_python_backend,
    )

    _setup_privateuseone_for_python_backend("card")
    torch.card.get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    torch.serialization.add_safe_globals([to_card])
    every = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    every.fallback(torch.library.fallthrough_kernel)
    library = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for names, dtype in ((LOWERED, None), (WIDENED, torch.float32)):
        for name in names:
            packet, _, overload = name.partition(".")
            operation = getattr(getattr(aten, packet), overload or "default")
            library.impl(name, partial(_autocast, operation, dtype))
    LIBRARIES.extend((every, library))


def _autocast(operation: Callable[..., Any], dtype: torch.dtype | None, *args: Any, **kwargs: Any) -> Any:
    """Casts the floats of an operation, but never float64, and runs it without autocast."""
    dtype = dtype or torch.get_autocast_dtype("card")

    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor

    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
    with torch._C._ExcludeDispatchKeyGuard(keys):
        return operation(*tree_map_only(Tensor, cast, args), **tree_map_only(Tensor, cast, kwargs))


def _build(function: Callable[..., Tensor], data: Any, *, device: Any = None, **more: Any) -> Tensor:
    """Builds on the CPU and copies: torch fills new tensors in C++, past the simulation."""
    if device is None or torch.device(device).type != "card":
        return function(data, device=device, **more)
    return data.to(device) if isinstance(data, OnCard) else function(data, **more).to(device)


def _no_graph(mode: bool = True) -> AbstractContextManager[None]:  # noqa: FBT001, FBT002 - the arguments of torch's
    return torch.no_grad() if mode else nullcontext()


def _load(load: Callable[..., Any], *args: Any, map_location: Any = None, **more: Any) -> Any:
    if not isinstance(map_location, torch.device) or map_location.type != "card":
        return load(*args, map_location=map_location, **more)
    content = load(*args, map_location="cpu", **more)
    return tree_map_only(Tensor, lambda tensor: tensor if isinstance(tensor, OnCard) else to_card(tensor), content)


def _compute(note: Callable[[str], None] | None, operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Runs an operation on the CPU, if it concerns the card, and says that the results lie on the card."""
    leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    target = kwargs.get("device")
    target = None if target is None else torch.device(target).type
    if target != "card" and not any(isinstance(leaf, OnCard) for leaf in leaves):
        return operation(*args, **kwargs)
    _check_devices(operation, args, leaves)
    if note is not None and (kind := _waits(operation, args, kwargs, target)):
        note(kind)
    held_args, held = tree_map_only(OnCard, lambda tensor: tensor.held, (args, kwargs))
    if target is not None:
        held["device"] = torch.device("cpu")
    result = operation(*held_args, **held)
    if target == "cpu" or (operation is aten.copy_.default and not isinstance(args[0], OnCard)):
        return args[0] if operation is aten.copy_.default else _apart(result, leaves)
    return return_and_correct_aliasing(operation, args, kwargs, tree_map_only(Tensor, OnCard, result))


def _apart(result: Tensor, leaves: list[Tensor]) -> Tensor:
    """Returns a copy where the CPU made none: the card's memory is another one."""
    return result.clone() if any(result is to_cpu(leaf) for leaf in leaves) else result


def _check_devices(operation: Any, args: Sequence[Any], leaves: list[Tensor]) -> None:
    """Raises where CUDA would."""
    others = [leaf for leaf in leaves if not isinstance(leaf, OnCard)]
    if not others or len(others) == len(leaves) or operation in COPIES:
        return
    if operation in INDEXED and isinstance(args[0], OnCard):
        others = [] if len(args) < 3 or isinstance(args[2], OnCard) or not args[2].ndim else others
    elif torch.Tag.pointwise in operation.tags or operation.name().endswith(("fill_.Tensor", "fill.Tensor")):
        others = [leaf for leaf in others if leaf.ndim]
    if others:
        raise MixedDevicesError(f"{operation}: tensors of the card and of the CPU, {[tuple(o.shape) for o in others]}")


def _waits(operation: Any, args: Sequence[Any], kwargs: dict[str, Any], target: str | None) -> str | None:
    """Returns whether the host waits for the card: "read", "write" or None."""
    if operation in COPIES:
        source = args[1] if operation is aten.copy_.default else args[0]
        here = isinstance(source, OnCard)
        there = isinstance(args[0], OnCard) if operation is aten.copy_.default else (target or "card") == "card"
        if here == there or (not here and kwargs.get("non_blocking", len(args) > 2 and args[2])):
            return None
        return "read" if here else "write"
    if operation in INDEXED:
        indices = [index for index in args[1] if index is not None]
        masks = any(index.dtype in {torch.bool, torch.uint8} for index in indices)
        return "read" if masks else "write" if any(not isinstance(index, OnCard) for index in indices) else None
    return "read" if DATA_DEPENDENT & set(operation.tags) or operation in CHECKED else None
