"""Cross-entropy on the images as they are."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.training.regimes import Batch, Regime


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy, weighted by class."""
    return functional.cross_entropy(model(batch.images).float(), batch.labels, weight=batch.class_weights)


STANDARD = Regime(
    name="standard",
    objective=cross_entropy,
    cost=3,
    adversarial=False,
    description="Class-weighted cross-entropy.",
    source="Jalaboi et al., 2023, section 3",
)
