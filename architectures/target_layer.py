"""The layer of a network that Grad-CAM reads."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from architectures.network import Network, count_prefix_tokens
from architectures.token_grid import NAME

IMAGE_SIZES = (96, 128)
IDENTITY_LAYERS = (nn.Identity, nn.Dropout, nn.Dropout2d)
ATTENTION = ("attention", "attn")
"""Parts of the names of classes of attention, in lower case."""
CLASS_TOKEN = "token"  # noqa: S105 - a pooling
"""timm's name of a classifier that reads the class token alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetLayer:
    """A target layer.

    Attributes:
        name: Dotted name of the module in the network, "grid" for tokens.
        tokens: Dotted name of the layer of the body whose tokens become the grid. Empty for a layer with a grid.
    """

    name: str
    tokens: str = ""


def last_grid(network: nn.Module) -> str:
    """Returns the dotted name of the last module that runs exactly once and outputs a spatial grid.

    A grid is an output (N, K, h, w) whose h and w grow with the image. Networks with channels last have none.

    Args:
        network: Takes images (N, 3, H, W). May be on the meta device.

    Raises:
        ValueError: No module outputs a grid.

    Example:
        >>> last_grid(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        '1'
    """
    for name, layout in _layouts(network):
        if layout == "grid":
            return name
    raise ValueError("no module has a spatial grid that grows with the image; Grad-CAM needs one")


def find_target_layer(network: Network) -> TargetLayer:
    """Finds the last layer with a spatial grid, or with tokens that form one.

    A classifier that reads the class token alone ignores the other tokens of the last block. Their last influence is
    what the last attention reads. Of such networks the target layer is the input of that attention, usually the first
    normalization of the last block. Layers inside an attention are left out.

    Args:
        network: A network of timm's. May be on the meta device.

    Raises:
        ValueError: No layer has a grid or tokens.
    """
    body = network.body
    if getattr(body, "global_pool", "") == CLASS_TOKEN and (name := _input_of_last_attention(body, network)):
        return TargetLayer(name=NAME, tokens=name)
    for name, layout in _layouts(network):
        if layout == "grid":
            return TargetLayer(name=name)
        if name.startswith("body."):
            return TargetLayer(name=NAME, tokens=name.removeprefix("body."))
    raise ValueError("no module has a spatial grid or tokens; Grad-CAM needs one")


def _layouts(network: nn.Module) -> list[tuple[str, str]]:
    """Lists modules with a grid or tokens, the last to finish first, with "grid", "tokens" or "last" (channels last).

    Modules that do not run exactly once, identities and parts of an attention are left out.
    """
    small, large = (_outputs(network, side) for side in IMAGE_SIZES)
    modules, inner = dict(network.named_modules()), _inside_attention(network)
    prefix = count_prefix_tokens(network.body) if isinstance(network, Network) else 0
    fixed = isinstance(network, Network) and bool(network.sides.fixed)
    found = []
    for name in reversed(list(small)):
        runs, large_runs = small[name], large.get(name, [])
        if not name or len(runs) != 1 or len(large_runs) != 1 or isinstance(modules[name], IDENTITY_LAYERS):
            continue
        layout = _layout(runs[0], large_runs[0], prefix, fixed=fixed)
        if layout == "grid" or (layout and name not in inner):
            found.append((name, layout))
    return found


def _layout(one: torch.Size, other: torch.Size, prefix: int, *, fixed: bool) -> str:
    """Names the layout of an output, from its shapes for two sizes of square images. Empty if it has no positions.

    A network of a fixed side has the same shapes twice. Its grids are then square, and its tokens a square number.
    """
    for layout, places in (("grid", (2, 3)), ("last", (1, 2)), ("tokens", (1,))):
        if len(one) != len(other) or len(one) != (3 if layout == "tokens" else 4):
            continue
        grows = all(1 < one[place] < other[place] for place in places)
        others = [place for place in range(len(one)) if place not in places]
        if not fixed and grows and all(one[place] == other[place] for place in others):
            return layout
        if fixed and _is_square([one[place] for place in places], prefix) and one[0] == 1:
            return layout
    return ""


def _is_square(sides: list[int], prefix: int) -> bool:
    if len(sides) == 2:
        return sides[0] == sides[1] > 1
    cells = sides[0] - prefix
    return cells > 3 and round(cells**0.5) ** 2 == cells


def _inside_attention(network: nn.Module) -> set[str]:
    """Returns the names of attentions and of all modules inside them."""
    names = [name for name, module in network.named_modules() if _is_attention(module)]
    return {name for name, _ in network.named_modules() for outer in names if f"{name}.".startswith(f"{outer}.")}


def _is_attention(module: nn.Module) -> bool:
    return any(part in type(module).__name__.lower() for part in ATTENTION)


def _input_of_last_attention(body: nn.Module, network: nn.Module) -> str:
    """Returns the dotted name of the module in the body whose output the last attention reads. Empty if none does."""
    producers: dict[int, tuple[str, Tensor]] = {}
    read: list[str] = []

    def note_output(name: str, output: Any) -> None:
        if isinstance(output, Tensor):
            producers[id(output)] = name, output  # the reference keeps the id in use

    def note_input(inputs: tuple[Any, ...]) -> None:
        name, tokens = producers.get(id(inputs[0]) if inputs else 0, ("", None))
        if tokens is not None and tokens.ndim == 3:
            read.append(name)

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note_output(name, output))
        for name, module in body.named_modules()
        if name
    ]
    handles += [
        module.register_forward_pre_hook(lambda _module, inputs: note_input(inputs))
        for module in body.modules()
        if _is_attention(module)
    ]
    _run(network, IMAGE_SIZES[0], handles)
    return read[-1] if read else ""


@dataclass
class _Shapes:
    """Output shapes of each module by name, in the order in which the modules finish."""

    by_name: dict[str, list[torch.Size]] = field(default_factory=dict)

    def record(self, name: str, output: object) -> None:
        shapes = self.by_name.pop(name, [])  # moves the name to the end of the order
        self.by_name[name] = [*shapes, output.shape if isinstance(output, Tensor) else torch.Size()]


def _outputs(network: nn.Module, side: int) -> dict[str, list[torch.Size]]:
    """Returns the output shapes of each module by name, in the order in which the modules finish."""
    shapes = _Shapes()
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: shapes.record(name, output))
        for name, module in network.named_modules()
    ]
    _run(network, side, handles)
    return shapes.by_name


def _run(network: nn.Module, side: int, handles: list[Any]) -> None:
    """Runs a network in evaluation mode on an image of zeros, and removes the hooks."""
    training = network.training
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, side, side, device=device))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
