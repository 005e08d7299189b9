"""The training regimes, one per file."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a regime learns from at one step.

    Attributes:
        images: (N, 3, H, W), float in [0, 1], augmented, on the device.
        labels: (N,), int64.
        class_weights: (C,), float; larger for rarer classes.
        progress: Share of the training that is done, in [0, 1).
        places: Which of the training images these are, (N,), int64.
        number: How many training images there are.
        masks: Reference masks (N, H, W), float in [0, 1], moved as the images are; NaN where an image has none. None
            unless the regime asks for masks.
        memory: What the regime keeps from step to step, by name; empty when training begins, saved with its state.
    """

    images: Tensor
    labels: Tensor
    class_weights: Tensor
    progress: float
    places: Tensor
    number: int
    masks: Tensor | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)


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
        title: How tables call it where its name alone would claim too much; "" for the name.
        init_from: Name of the regime whose model, of the same architecture, data and seed, the training begins with.
        frozen: How many of the first groups of layers stay as they are, in [0, 4]; their BatchNorm too.
        lr_scale: Factor of the learning rate.
        batch_replays: How often each batch is used in turn; the training has as many fewer epochs.
        needs_masks: Whether it learns from masks, and a network that predicts them.
    """

    name: str
    objective: Callable[[nn.Module, Batch], Tensor]
    cost: float
    adversarial: bool
    description: str
    source: str
    title: str = ""
    init_from: str | None = None
    frozen: int = 0
    lr_scale: float = 1.0
    batch_replays: int = 1
    needs_masks: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        if not 0 <= self.frozen <= 4 or not self.lr_scale > 0 or self.batch_replays < 1:
            raise ValueError(f"{self.name}: frozen must lie in 0 ... 4, pace be positive and replays at least 1")
