"""Integrated gradients from a black image."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from metrics.rounding import evident

STEPS = 50
"""Points on the way from the black image, by Gauss-Legendre quadrature."""
CHUNK = 25
"""Most points per forward pass."""


def integrated_gradients(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Pixel times mean gradient of the class's logit on the way from a black image, summed over channels, rectified.

    The signed sum over all pixels is the logit's rise from the black image to this one. Pixels that are black
    themselves get nothing, whatever they say.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative; zero where nothing speaks for the class.

    Reference:
        Sundararajan et al., Axiomatic attribution for deep networks, 2017, section 3. The paper leaves the map
        signed; its positive part is what speaks for the class.
    """
    from captum.attr import IntegratedGradients  # noqa: PLC0415 - captum takes seconds to import

    attribute = IntegratedGradients(model).attribute
    # One image at a time, so that none depends on its batch.
    attributions = [
        attribute(image[None], baselines=0.0, target=label[None], n_steps=STEPS, internal_batch_size=CHUNK)
        for image, label in zip(images.detach(), classes, strict=True)
    ]
    terms = torch.cat(attributions).detach().to(images.dtype)
    return evident(functional.relu(terms.sum(dim=1)), terms.abs().sum(dim=1))


INTEGRATED_GRADIENTS = Method(
    name="integrated-gradients",
    draw=integrated_gradients,
    source="Sundararajan et al., Axiomatic attribution for deep networks, 2017, arXiv 1703.01365, section 3",
)
