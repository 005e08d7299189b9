"""Training with a penalty on the gradient of the loss with respect to the image, on clean images only."""

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmark.attacks.losses import cross_entropy as image_losses
from benchmark.runtime.precision import precise
from benchmark.training.regimes import Batch, Regime

# To first order, an attack of this budget in Linf raises the loss of an image by so many times the L1 norm of its
# gradient. With the budget of pgd-linf, the two regimes penalize the same.
WEIGHT = 2 / 255


def gradient_norm(model: nn.Module, batch: Batch) -> Tensor:
    """Computes class-weighted cross-entropy on the loss of each image plus WEIGHT times the L1 norm of its gradient.

    The gradient is that of the update's own pass in training mode, so the batch's statistics connect its images.
    """
    images = batch.images.detach().requires_grad_()
    # The fused kernels of attention have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        logits = model(images)
    losses = image_losses(precise(logits), batch.labels)
    (gradient,) = torch.autograd.grad(losses.sum(), images, create_graph=True)
    penalties = WEIGHT * precise(gradient.abs().sum(dim=(1, 2, 3)))
    weights = batch.class_weights.to(losses.dtype)[batch.labels]
    return (weights * (losses + penalties)).sum() / weights.sum()


GRADIENT_NORM = Regime(
    name="gradient-norm",
    objective=gradient_norm,
    cost=3 + 4,  # the update, the gradient of the image, and the pass back through that gradient
    adversarial=False,
    description="Cross-entropy plus 2/255 times the L1 norm of the loss gradient of the image, on clean images.",
    source="Rodriguez-Munoz et al., Characterizing model robustness via natural input gradients, 2024, "
    "arXiv 2409.20139; weight and BatchNorm are our own choice",
    second_order=True,
)
