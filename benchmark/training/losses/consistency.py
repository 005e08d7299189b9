"""Consistency of the predictions for an image and for a changed one."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.runtime.precision import precise
from benchmark.training.losses.divergence import divergence
from benchmark.training.regimes import Batch


def consistency_loss(model: nn.Module, batch: Batch, changed: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Computes class-weighted cross-entropy on the images plus the divergence KL(p(images) || p(changed)).

    The model runs once on the images and once on the changed ones, in its current mode. That makes two updates of the
    BatchNorm statistics, and six forward-equivalents with the backward pass.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        batch: Images and labels.
        changed: The changed images, (N, 3, H, W) in [0, 1].
        weight: Weight of the mean divergence over the batch.

    Returns:
        The loss (scalar) and the detached logits of the changed images (N, C), both float64.
    """
    logits, changed_logits = precise(model(batch.images)), precise(model(changed))
    loss = functional.cross_entropy(logits, batch.labels, weight=batch.class_weights.to(logits.dtype))
    return loss + weight * divergence(logits, changed_logits).mean(), changed_logits.detach()
