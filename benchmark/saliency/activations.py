"""What a layer puts out and its gradient, at the price of about one forward pass: the ground of the CAM family."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def activations_and_gradient(model: nn.Module, layer: str, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Activations of a layer and the gradient of each image's class logit with respect to them.

    The gradient is needed from the logits down to the layer only: the network runs without autograd up to
    the layer, and a hook there switches it on for the rest.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w), called once per forward.
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Activations and gradient, both (N, K, h, w), detached.
    """

    def catch(output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        return output.detach().requires_grad_()

    caught, logits = _run(model, layer, images, catch)
    with torch.enable_grad():
        target = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(target, caught)
    return caught.detach(), gradient


def get_activations(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """Activations (N, K, h, w) of a layer, detached; arguments as above."""
    return _run(model, layer, images, Tensor.detach)[0]


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (N, h, w) stretched over the size (H, W) of the images, bilinearly, as if cells lay side by side."""
    return functional.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def _run(model: nn.Module, layer: str, images: Tensor, catch: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """What was caught at the layer, and the logits; without autograd unless the catcher switches it on."""
    caught: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        caught.append(catch(output))
        # A clone, because the next module may work in place and a leaf must not change.
        return caught[-1].clone()

    handle = model.get_submodule(layer).register_forward_hook(hook)
    try:
        with torch.no_grad():
            logits = model(images)
    finally:
        handle.remove()
    (output,) = caught
    return output, logits
