"""The other end of :mod:`benchmark.submission.judge.network`, in the box: it answers for the network of an entry."""

import socket
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmark.runtime.device import use_exact_arithmetic
from benchmark.runtime.layout import place
from benchmark.submission.entries import load_entry
from benchmark.submission.judge.wire import Operation, WireError, receive, send
from benchmark.submission.sandbox.worker import one_line
from benchmark.training.checkpoint import initial_model, load_weights


def serve_network(
    entry: str, weights: str | None, classes: int, device: str, address: str, *, whole: bool
) -> dict[str, int]:
    """Answers for a network until the judge closes the connection.

    Args:
        entry: Path of the entry file.
        weights: Path of its weights. None leaves it untrained, from a fixed seed.
        classes: Number of its logits.
        device: Where it runs.
        address: Path of the socket of the judge.
        whole: Whether published weights must include their classifier.

    Returns:
        The number of answers.
    """
    use_exact_arithmetic()
    architecture = load_entry(Path(entry))
    torch.manual_seed(0)
    model, _ = initial_model(architecture, classes, "random")
    if weights is not None:
        load_weights(model, Path(weights), whole=whole)
    network = place(model, torch.device(device)).eval()
    return answer_for(network, architecture.target_layer, torch.device(device), address)


def answer_for(network: nn.Module, layer: str, device: torch.device, address: str) -> dict[str, int]:
    """Answers for a network until the judge closes the connection.

    Args:
        network: The network, in evaluation mode.
        layer: Name of its target layer.
        device: Where it is.
        address: Path of the socket of the judge.

    Returns:
        The number of answers.
    """
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(address)
        return {"answers": _Service(channel, network, layer, device).serve()}


@dataclass(kw_only=True)
class _Pass:
    """A forward pass with its graph: images, the output of the layer, what went on from there, and the logits."""

    images: Tensor
    output: Tensor | None = None
    moved: Tensor | None = None
    logits: Tensor
    gradient: Tensor | None = None
    gradients: tuple[Tensor, ...] = ()

    @property
    def sources(self) -> list[Tensor]:
        """What the logits are differentiated by."""
        return [tensor for tensor in (self.moved, self.images) if tensor is not None and tensor.requires_grad]


class _Service:
    """Serves requests one after the other."""

    def __init__(self, channel: socket.socket, network: nn.Module, layer: str, device: torch.device) -> None:
        self._channel, self._network, self._device = channel, network, device
        self._layer = network.get_submodule(layer)
        self._passes: dict[int, _Pass] = {}
        self._last = 0

    def serve(self) -> int:
        """Answers until the connection ends, and returns the number of answers."""
        self._answer(torch.tensor([sum(parameter.numel() for parameter in self._network.parameters())]))
        count = 0
        while True:
            try:
                operation, numbers, tensors = self._receive()
            except WireError:
                return count
            try:
                self._handle(operation, numbers, tensors)
            except WireError:
                return count
            except Exception as error:  # noqa: BLE001 - the code of an entry may raise anything
                send(self._channel, Operation.ERROR, torch.tensor(list(one_line(error).encode()), dtype=torch.uint8))
            count += 1

    def _receive(self) -> tuple[Operation, list[int], list[Tensor]]:
        operation, (head, *tensors) = receive(self._channel)
        count, *numbers = head.tolist()
        for ticket in numbers[count:]:
            self._passes.pop(ticket, None)
        return operation, numbers[:count], [tensor.to(self._device) for tensor in tensors]

    def _answer(self, *tensors: Tensor) -> None:
        send(self._channel, Operation.ANSWER, *tensors)

    def _handle(self, operation: Operation, numbers: list[int], tensors: list[Tensor]) -> None:
        if operation in {Operation.RUN, Operation.RUN_TO_LAYER}:
            self._last += 1
            self._run(tensors[0], differentiable=bool(numbers[0]), stop=operation is Operation.RUN_TO_LAYER)
        elif operation is Operation.MASKS:
            with torch.inference_mode():
                self._answer(*self._network.with_mask(tensors[0]))  # type: ignore[operator]
        elif operation is Operation.GRADIENT:
            self._differentiate(self._passes[numbers[0]], tensors[0], again=bool(numbers[1]))
        elif operation is Operation.LAYER_GRADIENT:
            done = self._passes[numbers[0]]
            self._answer(*_grad([] if done.output is None else [done.output], [done.images], tensors, again=False))
        else:
            self._differentiate_again(self._passes[numbers[0]], tensors)

    def _run(self, images: Tensor, *, differentiable: bool, stop: bool) -> None:
        """Runs the network. At its layer, it asks the judge what to go on with, if the judge wants to see it."""
        images = images.requires_grad_(differentiable)
        parts: list[Tensor] = []

        def pause(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self._answer(output)
            _, (by_layer,), given = self._receive()
            moved = (given[0] if given else output).detach().requires_grad_(bool(by_layer))
            parts.extend((output, moved))
            torch.set_grad_enabled(differentiable or bool(by_layer))
            # A clone: the next module may work in place, and a leaf tensor must not change.
            return moved.clone() if by_layer else moved

        # Attacks on maps need second derivatives, which the fused kernels of attention lack.
        kernels = sdpa_kernel(SDPBackend.MATH) if stop and differentiable else nullcontext()
        handle = self._layer.register_forward_hook(pause) if stop else nullcontext()
        mode = torch.set_grad_enabled(differentiable) if differentiable or stop else torch.inference_mode()
        with handle, kernels, mode:
            logits = self._network(images)
        output, moved = parts or (None, None)
        done = _Pass(images=images, logits=logits, output=output, moved=moved)
        if done.sources:
            self._passes[self._last] = done
        self._answer(logits)

    def _differentiate(self, done: _Pass, gradient: Tensor, *, again: bool) -> None:
        done.gradient = gradient.requires_grad_(again)
        done.gradients = _grad([done.logits], done.sources, [done.gradient], again=again)
        self._answer(*done.gradients)

    def _differentiate_again(self, done: _Pass, given: list[Tensor]) -> None:
        sources = [tensor for tensor in (done.gradient, *done.sources) if tensor is not None]
        self._answer(*_grad(done.gradients, sources, given, again=False))


def _grad(
    outputs: Sequence[Tensor], sources: Sequence[Tensor], gradients: Sequence[Tensor], *, again: bool
) -> tuple[Tensor, ...]:
    """Computes vector-Jacobian products. Zero where an output does not depend on a source."""
    return torch.autograd.grad(
        outputs, sources, gradients, create_graph=again, allow_unused=True, materialize_grads=True
    )
