"""Cross-entropy on the original images."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.runtime.precision import precise
from benchmark.training.regimes import Batch, Regime


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    """Computes class-weighted cross-entropy."""
    logits = precise(model(batch.images))
    return functional.cross_entropy(logits, batch.labels, weight=batch.class_weights.to(logits.dtype))


STANDARD = Regime(
    name="standard",
    objective=cross_entropy,
    cost=3,
    adversarial=False,
    description="Class-weighted cross-entropy.",
    source="Jalaboi et al., 2023, section 3",
)
