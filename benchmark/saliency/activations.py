"""Activations of a layer and their gradient, for about the cost of one forward pass. The CAM family builds on them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def activations_and_gradient(model: nn.Module, layer: str, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Computes activations of a layer and the gradient of each image's class logit with respect to them.

    The gradient is needed only from the logits down to the layer. So the network runs without autograd up to the
    layer, and a hook there switches autograd on for the rest.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w). It is called once per forward
            pass.
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Activations and gradient, both (N, K, h, w), detached.
    """

    def capture(output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        return output.detach().requires_grad_()

    captured, logits = _run(model, layer, images, capture)
    with torch.enable_grad():
        target = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(target, captured)
    return captured.detach(), gradient


def get_activations(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """Returns activations (N, K, h, w) of a layer, detached. Arguments as in :func:`activations_and_gradient`."""
    return _run(model, layer, images, Tensor.detach)[0]


def upsample(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Stretches maps (N, h, w) bilinearly to the size (H, W) of the images, as if the cells tiled the image."""
    return functional.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def _run(model: nn.Module, layer: str, images: Tensor, capture: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Returns the captured output of the layer, and the logits. Runs without autograd unless `capture` enables it."""
    outputs: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        outputs.append(capture(output))
        # A clone: the next module may work in place, and a leaf tensor must not change.
        return outputs[-1].clone()

    handle = model.get_submodule(layer).register_forward_hook(hook)
    try:
        with torch.no_grad():
            logits = model(images)
    finally:
        handle.remove()
    (output,) = outputs
    return output, logits
