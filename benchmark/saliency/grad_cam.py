"""Grad-CAM at the price of about one forward pass."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method


def grad_cam(model: nn.Module, layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Activations of the layer, weighted by the mean gradient of the class's logit, rectified, up-sampled.

    The gradient is needed from the logits down to the layer only: the network runs without autograd up to
    the layer, and a hook there switches it on for the rest.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative; zero where nothing speaks for the class.

    Reference:
        Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017, section 3.
    """
    caught: list[Tensor] = []

    def catch(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        caught.append(output.detach().requires_grad_())
        # A clone, because the next module may work in place and a leaf must not change.
        return caught[0].clone()

    handle = model.get_submodule(layer).register_forward_hook(catch)
    try:
        with torch.no_grad():
            logits = model(images)
    finally:
        handle.remove()
    (activations,) = caught
    with torch.enable_grad():
        target = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(target, activations)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    maps = functional.relu((weights * activations.detach()).sum(dim=1, keepdim=True))
    return functional.interpolate(maps, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


GRAD_CAM = Method(
    name="grad-cam",
    draw=grad_cam,
    source="Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017, section 3",
)
