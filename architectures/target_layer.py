"""The layer of a network that Grad-CAM reads."""

import torch
from torch import Tensor, nn

IMAGE_SIZES = (96, 128)
IDENTITY_LAYERS = (nn.Identity, nn.Dropout, nn.Dropout2d)


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
    small, large = (_outputs(network, side) for side in IMAGE_SIZES)
    modules = dict(network.named_modules())
    for name in reversed(list(small)):
        runs, large_runs = small[name], large.get(name, [])
        if name and len(runs) == 1 and len(large_runs) == 1 and not isinstance(modules[name], IDENTITY_LAYERS):
            one, other = runs[0], large_runs[0]
            if len(one) == len(other) == 4 and one[1] == other[1] and 1 < one[2] < other[2] and 1 < one[3] < other[3]:
                return name
    raise ValueError("no module has a spatial grid that grows with the image; Grad-CAM needs one")


def _outputs(network: nn.Module, side: int) -> dict[str, list[torch.Size]]:
    """Returns the output shapes of each module by name, in the order in which the modules finish."""
    outputs: dict[str, list[torch.Size]] = {}

    def record(name: str, output: object) -> None:
        shapes = outputs.pop(name, [])  # moves the name to the end of the order
        outputs[name] = [*shapes, output.shape if isinstance(output, Tensor) else torch.Size()]

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: record(name, output))
        for name, module in network.named_modules()
    ]
    training = network.training
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, side, side, device=device))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return outputs
