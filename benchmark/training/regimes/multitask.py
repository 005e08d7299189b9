"""Training on the class and the mask of the lesion at once."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.runtime.precision import precise
from benchmark.training.regimes import Batch, Regime

WEIGHT = 1.0
SMOOTHING = 1.0


def multitask(model: nn.Module, batch: Batch) -> Tensor:
    """Computes class-weighted cross-entropy plus the mask loss, averaged over the images with a mask.

    Args:
        model: Has ``with_mask``, which returns the logits (N, C) and the mask logits (N, H, W) of images (N, 3, H, W).
        batch: Images, labels and masks. An image with any NaN in its mask contributes to the class loss only.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: The network predicts no masks, or the batch has none.
    """
    with_mask = getattr(model, "with_mask", None)
    if with_mask is None or batch.masks is None:
        reason = f"{type(model).__name__} predicts none" if with_mask is None else "the batch has none"
        raise ValueError(f"multitask trains on masks, but {reason}")
    logits, predicted = with_mask(batch.images)
    # Rotation fills the corners with zeros, so a missing mask is NaN in part only: one NaN is enough.
    has_mask = ~batch.masks.isnan().any(dim=2).any(dim=1)
    # Filled before the loss: NaN times zero would still be NaN, and so would its gradient.
    losses = mask_loss(predicted, batch.masks.where(has_mask[:, None, None], 0.0))
    logits = precise(logits)
    class_loss = functional.cross_entropy(logits, batch.labels, weight=batch.class_weights.to(logits.dtype))
    return class_loss + WEIGHT * (losses * has_mask).sum() / has_mask.sum().clamp(min=1)


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Computes binary cross-entropy (mean over the pixels) plus soft Dice loss of each image.

    Dice is smoothed by one pixel. So the loss of an empty mask, as of a normal case, falls with the predicted area.

    Args:
        logits: Mask logits, (N, H, W).
        masks: (N, H, W), in [0, 1].

    Returns:
        (N,), float64, not negative.
    """
    logits, masks = precise(logits), precise(masks)
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(dim=(1, 2))
    predicted = logits.sigmoid()
    intersection, total = (predicted * masks).sum(dim=(1, 2)), (predicted + masks).sum(dim=(1, 2))
    return entropy + 1 - (2 * intersection + SMOOTHING) / (total + SMOOTHING)


MULTITASK = Regime(
    name="multitask",
    objective=multitask,
    cost=3,  # that of a standard step, since the mask head is part of the architecture's cost
    adversarial=False,
    description=f"Cross-entropy plus binary cross-entropy and Dice loss of the predicted mask, weight {WEIGHT:g}.",
    source="Rasaee and Rivaz, 2021, arXiv 2108.04345; the loss of the masks and its weight are our own choice",
    needs_masks=True,
)
