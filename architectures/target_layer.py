"""Which layer of a network Grad-CAM can read."""

import torch
from torch import Tensor, nn

SIDES = (96, 128)
IDLE = (nn.Identity, nn.Dropout, nn.Dropout2d)


def last_grid(network: nn.Module) -> str:
    """Dotted name of the last module that runs once and puts out a spatial grid.

    A grid is an output (N, K, h, w) whose h and w grow with the image; so networks that put channels last have none.

    Args:
        network: Takes images (N, 3, H, W); may lie on the meta device.

    Raises:
        ValueError: There is none.

    Example:
        >>> last_grid(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        '1'
    """
    small, large = (_outputs(network, side) for side in SIDES)
    modules = dict(network.named_modules())
    for name in reversed(list(small)):
        runs, others = small[name], large.get(name, [])
        if name and len(runs) == 1 and len(others) == 1 and not isinstance(modules[name], IDLE):
            one, other = runs[0], others[0]
            if len(one) == len(other) == 4 and one[1] == other[1] and 1 < one[2] < other[2] and 1 < one[3] < other[3]:
                return name
    raise ValueError("no module has a spatial grid that grows with the image; Grad-CAM needs one")


def _outputs(network: nn.Module, side: int) -> dict[str, list[torch.Size]]:
    """Shapes that each module puts out, by its name, in the order in which the modules end."""
    found: dict[str, list[torch.Size]] = {}

    def note(name: str, output: object) -> None:
        shapes = found.pop(name, [])  # to the end of the order
        found[name] = [*shapes, output.shape if isinstance(output, Tensor) else torch.Size()]

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in network.named_modules()
    ]
    training = network.training
    device = next((each.device for each in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, side, side, device=device))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return found
