"""Integrated gradients from a black image."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from metrics.rounding import evident

NUM_STEPS = 50
"""Number of points on the path from the black image, by Gauss-Legendre quadrature."""
CHUNK_SIZE = 25
"""Maximum number of points per forward pass."""


def integrated_gradients(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Computes pixel times mean gradient on the path from a black image, summed over channels and rectified.

    The gradient is that of the class's logit. The signed sum over all pixels is the difference of that logit between
    this image and the black one. Black pixels are always 0.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative. Zero where nothing supports the class.

    Reference:
        Sundararajan et al., Axiomatic attribution for deep networks, 2017, section 3. The paper leaves the map
        signed. Its positive part supports the class.
    """
    from captum.attr import IntegratedGradients  # noqa: PLC0415 - captum takes seconds to import

    attribute = IntegratedGradients(model).attribute
    # One image at a time, so that none depends on its batch. Captum reads a label that is a tensor in every pass.
    attributions = [
        attribute(image[None], baselines=0.0, target=label, n_steps=NUM_STEPS, internal_batch_size=CHUNK_SIZE)
        for image, label in zip(images.detach(), classes.tolist(), strict=True)
    ]
    terms = torch.cat(attributions).detach().to(images.dtype)
    return evident(functional.relu(terms.sum(dim=1)), terms.abs().sum(dim=1))


INTEGRATED_GRADIENTS = Method(
    name="integrated-gradients",
    explain=integrated_gradients,
    source="Sundararajan et al., Axiomatic attribution for deep networks, 2017, arXiv 1703.01365, section 3",
)
