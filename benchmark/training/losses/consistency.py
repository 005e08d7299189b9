"""Learning to predict the same for an image and for a changed one."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.training.losses.divergence import divergence
from benchmark.training.regimes import Batch


def consistency_loss(model: nn.Module, batch: Batch, changed: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy, weighted by class, on the images plus the divergence KL(p(images) || p(changed)).

    The model sees the images once and the changed ones once, in the mode that it is in: two updates of the BatchNorm
    statistics, and six forward-equivalents with the backward pass.

    Args:
        model: Takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        batch: What to learn from.
        changed: The images, changed, (N, 3, H, W) in [0, 1].
        weight: Weight of the divergence's mean over the batch.

    Returns:
        The loss (scalar, float32), and the logits of the changed images (N, C), float32, detached.
    """
    logits, others = model(batch.images).float(), model(changed).float()
    loss = functional.cross_entropy(logits, batch.labels, weight=batch.class_weights)
    return loss + weight * divergence(logits, others).mean(), others.detach()
