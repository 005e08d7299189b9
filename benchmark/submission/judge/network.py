"""A network that runs in a box, as a module: attacks, saliency methods and metrics use it as they use any other."""

import itertools
import socket
from collections.abc import Callable
from typing import Any, NoReturn, Self

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from benchmark.errors import UserError
from benchmark.submission.judge.wire import Operation, WireError, receive, send
from benchmark.submission.sandbox.replies import make_printable

MAX_PARAMETERS = 10**11


class RemoteNetwork(nn.Module):
    """A network in a box, in evaluation mode.

    Its target layer is a module, too: a forward hook there sees activations from the box, and may replace them. The
    gradients of logits and activations come from the box, second derivatives by the activations included. The box
    answers what it likes: the values are the word of the network, as they are in one process.

    Args:
        channel: The connection to the box.
        layer: Dotted name of the target layer.
        classes: Number of logits.
        find_reason: Returns why the box ended. Empty where it did not.
    """

    def __init__(
        self, channel: socket.socket, layer: str, classes: int, find_reason: Callable[[], str] = lambda: ""
    ) -> None:
        super().__init__()
        self._find_reason = find_reason
        self._channel, self._classes, self._layer = channel, classes, layer
        self._last, self._released = 0, list[int]()
        parent: nn.Module = self
        for name in layer.split("."):
            child = nn.Identity()
            parent.add_module(name, child)
            parent = child
        (numbers,) = self._receive()
        self._expect(numbers, (1,))
        count = int(numbers)
        if not 0 <= count <= MAX_PARAMETERS:
            self._refuse(f"{count} parameters")
        # Without memory: only their number counts. No layer can have this name.
        self.register_parameter("in the box", nn.Parameter(torch.empty(count, device="meta"), requires_grad=False))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (N, C) of images (N, 3, H, W)."""
        layer = self.get_submodule(self._layer)
        ticket = _Ticket(self, by_images=torch.is_grad_enabled() and images.requires_grad)
        if not layer._forward_hooks:  # noqa: SLF001 - torch has no public way to ask
            logits: Tensor = _FromImages.apply(images, ticket, Operation.RUN)
            return logits
        activations: Tensor = _FromImages.apply(images, ticket, Operation.RUN_TO_LAYER)
        moved = layer(activations)
        ticket.by_layer = torch.is_grad_enabled() and moved.requires_grad
        # Most hooks only look, or return a copy: then the activations need not travel back.
        ticket.changed = not torch.equal(moved, activations)
        rest: Tensor = _FromLayer.apply(moved, images, ticket)
        return rest

    def _apply(self, *_args: Any, **_options: Any) -> Self:
        """Leaves the network where it is: the box places it on its device."""
        return self

    def __deepcopy__(self, _memo: dict[int, object]) -> Self:
        """Refuses a copy.

        Raises:
            ValueError: Always: the inside of the network is in the box.
        """
        raise ValueError("a network in a box cannot be copied")

    def with_mask(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits (N, C) and the logits of the predicted masks (N, H, W)."""
        logits, masks = self.ask(Operation.MASKS, (), images, count=2)
        self._expect(logits, (len(images), self._classes))
        self._expect(masks, (len(images), *images.shape[2:]))
        return logits.to(images.device), masks.to(images.device)

    def ask(self, operation: Operation, numbers: tuple[int, ...], *tensors: Tensor, count: int = 1) -> list[Tensor]:
        """Sends a request and returns the tensors of the answer.

        Raises:
            UserError: The box has ended, or its code failed, or answered something else.
        """
        released, self._released = self._released, []
        head = torch.tensor([len(numbers), *numbers, *released], dtype=torch.int64)
        try:
            send(self._channel, operation, head, *tensors)
        except WireError as error:
            self._refuse(str(error))
        return self._receive(count)

    def expect_like(self, tensor: Tensor, other: Tensor) -> Tensor:
        """Returns a tensor of an answer on the device of another one, whose shape it must have."""
        self._expect(tensor, tuple(other.shape))
        return tensor.to(other)

    def expect_logits(self, logits: Tensor, images: Tensor) -> Tensor:
        """Returns the logits of an answer on the device of the images."""
        self._expect(logits, (len(images), self._classes))
        return logits.to(images.device)

    def expect_grid(self, activations: Tensor, images: Tensor) -> Tensor:
        """Returns the activations of an answer on the device of the images."""
        if activations.ndim != 4 or len(activations) != len(images) or not activations.is_floating_point():
            self._refuse(f"activations of shape {tuple(activations.shape)}")
        return activations.to(images.device)

    def next_ticket(self) -> int:
        """Numbers a forward pass. The box counts them, too."""
        self._last += 1
        return self._last

    def release(self, ticket: int) -> None:
        """Lets the box forget a forward pass with its next request."""
        self._released.append(ticket)

    def _receive(self, count: int = 1) -> list[Tensor]:
        try:
            operation, tensors = receive(self._channel)
        except WireError as error:
            self._refuse(str(error))
        if operation is Operation.ERROR and len(tensors) == 1 and tensors[0].dtype == torch.uint8:
            text = bytes(tensors[0][:300].tolist()).decode(errors="replace")
            raise UserError(f"the network failed in its box: {make_printable(text)}")
        if operation is not Operation.ANSWER or len(tensors) != count:
            self._refuse(f"{len(tensors)} tensors instead of {count}")
        return tensors

    def _expect(self, tensor: Tensor, shape: tuple[int, ...]) -> None:
        if tuple(tensor.shape) != shape:
            self._refuse(f"a tensor of shape {tuple(tensor.shape)}, not {shape}")

    def _refuse(self, what: str) -> NoReturn:
        self._channel.close()
        if reason := self._find_reason():
            raise UserError(f"the box of the network: {reason}")
        raise UserError(f"the box of the network answered: {what}; its evaluation ends here")


class _Ticket:
    """A forward pass that the box remembers for its gradients, as long as this object lives.

    Attributes:
        network: The network.
        number: Number of the pass.
        by_images: Whether gradients by the images are wanted.
        by_layer: Whether gradients by the activations of the layer are wanted.
        changed: Whether a hook changed the activations.
        again: Whether gradients are differentiated again.
    """

    def __init__(self, network: RemoteNetwork, *, by_images: bool) -> None:
        self.network, self.by_images = network, by_images
        self.by_layer = self.changed = self.again = False
        self.number = network.next_ticket()

    def __del__(self) -> None:
        """Let the box forget it."""
        self.network.release(self.number)

    @property
    def wanted(self) -> tuple[bool, bool]:
        """Whether gradients by the activations and by the images are wanted."""
        return self.by_layer, self.by_images

    def ask(self, operation: Operation, *tensors: Tensor, count: int = 1) -> list[Tensor]:
        """Sends a request about this pass and returns the tensors of the answer."""
        return self.network.ask(operation, (self.number, int(self.again)), *tensors, count=count)


class _FromImages(Function):
    """A forward pass: a whole one, or one up to the target layer. There the box waits for what follows."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, ticket: _Ticket, operation: Operation) -> Tensor:
        """Ask for logits, or for activations."""
        to_layer = operation is Operation.RUN_TO_LAYER
        ctx.ticket = ticket
        ctx.operation = Operation.LAYER_GRADIENT if to_layer else Operation.GRADIENT
        ctx.save_for_backward(images)
        (answer,) = ticket.network.ask(operation, (int(ticket.by_images),), images)
        return (ticket.network.expect_grid if to_layer else ticket.network.expect_logits)(answer, images)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Ask for the gradient by the images."""
        (images,) = ctx.saved_tensors
        (answer,) = ctx.ticket.ask(ctx.operation, gradient)
        return ctx.ticket.network.expect_like(answer, images), None, None


class _FromLayer(Function):
    """The second part of a forward pass: from the activations, and from the images past them, to the logits."""

    @staticmethod
    def forward(ctx: Any, moved: Tensor, images: Tensor, ticket: _Ticket) -> Tensor:
        """Send changed activations and ask for logits."""
        ctx.ticket = ticket
        ctx.save_for_backward(moved, images)
        tensors = (moved,) if ticket.changed else ()
        (logits,) = ticket.network.ask(Operation.RUN_FROM_LAYER, (int(ticket.by_layer),), *tensors)
        return ticket.network.expect_logits(logits, images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Ask for the gradients, by a function that can be differentiated again."""
        ticket = ctx.ticket
        ticket.again = torch.is_grad_enabled()
        found = _FromLayerGradient.apply(gradient, *ctx.saved_tensors, ticket)
        return *(value if wanted else None for value, wanted in zip(found, ticket.wanted, strict=True)), None


class _FromLayerGradient(Function):
    """The gradients of the second part. Attacks on maps differentiate them."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, moved: Tensor, images: Tensor, ticket: _Ticket) -> tuple[Tensor, ...]:
        """Ask for the gradients that are wanted. The others are zero."""
        ctx.ticket = ticket
        ctx.save_for_backward(gradient, moved, images)
        answers = iter(ticket.ask(Operation.GRADIENT, gradient, count=sum(ticket.wanted)))
        return tuple(
            ticket.network.expect_like(next(answers), source) if wanted else torch.zeros_like(source)
            for source, wanted in zip((moved, images), ticket.wanted, strict=True)
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """Ask for the second derivatives."""
        gradient, *sources = ctx.saved_tensors
        ticket = ctx.ticket
        sent = itertools.compress(given, ticket.wanted)
        first, *others = ticket.ask(Operation.SECOND_GRADIENT, *sent, count=1 + sum(ticket.wanted))
        answers = iter(others)
        found = [
            ticket.network.expect_like(next(answers), source) if wanted else None
            for source, wanted in zip(sources, ticket.wanted, strict=True)
        ]
        return ticket.network.expect_like(first, gradient), *found, None
