"""Learning the class and the lesion's mask at once."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.runtime.precision import precise
from benchmark.training.regimes import Batch, Regime

WEIGHT = 1.0
SMOOTHING = 1.0


def multitask(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy, weighted by class, plus the loss of the masks, averaged over the images that have one.

    Args:
        model: Offers ``with_mask``: of images (N, 3, H, W), the logits (N, C) and those of the masks (N, H, W).
        batch: What to learn from; an image with NaN anywhere in its mask counts for the class only.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: The network predicts no masks, or the batch has none.
    """
    with_mask = getattr(model, "with_mask", None)
    if with_mask is None or batch.masks is None:
        lack = f"{type(model).__name__} predicts none" if with_mask is None else "the batch has none"
        raise ValueError(f"multitask learns from masks, but {lack}")
    logits, predicted = with_mask(batch.images)
    # An image that was turned has zeros from outside among its NaN: one of these is enough.
    known = ~batch.masks.isnan().any(dim=2).any(dim=1)
    # Filled before the loss: NaN times zero would still be NaN, and so would its gradient.
    losses = mask_loss(predicted, batch.masks.where(known[:, None, None], 0.0))
    logits = precise(logits)
    of_class = functional.cross_entropy(logits, batch.labels, weight=batch.class_weights.to(logits.dtype))
    return of_class + WEIGHT * (losses * known).sum() / known.sum().clamp(min=1)


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy (mean over the pixels) plus soft Dice loss of each image.

    Dice is smoothed by one pixel, so that an empty mask, that of a normal case, has a loss that falls with what is
    predicted.

    Args:
        logits: Of the masks, (N, H, W).
        masks: (N, H, W), in [0, 1].

    Returns:
        (N,), float64, not negative.
    """
    logits, masks = precise(logits), precise(masks)
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(dim=(1, 2))
    predicted = logits.sigmoid()
    both, either = (predicted * masks).sum(dim=(1, 2)), (predicted + masks).sum(dim=(1, 2))
    return entropy + 1 - (2 * both + SMOOTHING) / (either + SMOOTHING)


MULTITASK = Regime(
    name="multitask",
    objective=multitask,
    cost=3,  # that of a standard step; the head of the masks comes on top, and is the architecture's affair
    adversarial=False,
    description=f"Cross-entropy plus binary cross-entropy and Dice loss of the predicted mask, weight {WEIGHT:g}.",
    source="Rasaee and Rivaz, 2021, arXiv 2108.04345; the loss of the masks and its weight are our own choice",
    needs_masks=True,
)
