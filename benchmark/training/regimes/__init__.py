"""The training regimes, one per file."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a regime learns from at one step.

    Attributes:
        images: (N, 3, H, W), float in [0, 1], augmented, on the device.
        labels: (N,), int64.
        class_weights: (C,), float; larger for rarer classes.
        progress: Share of the training that is done, in [0, 1).
    """

    images: Tensor
    labels: Tensor
    class_weights: Tensor
    progress: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Regime:
    """A way to train.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        objective: The loss (scalar) of a model on a batch.
        cost: Forward-equivalents per image, averaged over the training; a standard step costs 3.
        adversarial: Whether the model is trained on attacked images.
        description: What it does, in one sentence.
        source: Where it is described: author, year, section.
    """

    name: str
    objective: Callable[[nn.Module, Batch], Tensor]
    cost: float
    adversarial: bool
    description: str
    source: str
