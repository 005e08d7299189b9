"""The training regimes, one per file."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The input of a regime at one step.

    Attributes:
        images: (N, 3, H, W), float in [0, 1], augmented, on the device.
        labels: (N,), int64.
        class_weights: (C,), float. Larger for rarer classes.
        progress: Fraction of the training that is done, in [0, 1).
        indices: Indices of the images among the training images, (N,), int64.
        num_images: Number of training images.
        masks: Reference masks (N, H, W), float in [0, 1], augmented like the images. NaN where an image has none. None
            unless the regime needs masks.
        memory: Tensors that the regime carries from step to step, by name. Empty at first, stored with the state.
    """

    images: Tensor
    labels: Tensor
    class_weights: Tensor
    progress: float
    indices: Tensor
    num_images: int
    masks: Tensor | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Regime:
    """A training regime.

    Attributes:
        name: Unique name of lower case letters, digits and hyphens.
        objective: The loss (scalar) of a model on a batch.
        cost: Forward-equivalents per image, averaged over the training. A standard step costs 3.
        adversarial: Whether the model is trained on attacked images.
        description: What it does, in one sentence.
        source: Where it is described: author, year, section.
        title: Title in tables, if the name alone would promise too much. The default is the name.
        init_from: Name of the regime whose model initializes the training, for the same architecture, data and seed.
        frozen: Number of the first layer groups that are frozen, in [0, 4], with their BatchNorm.
        lr_scale: Factor of the learning rate.
        batch_replays: Number of consecutive steps on each batch. The number of epochs is divided by it.
        needs_masks: Whether it trains on masks, with a network that predicts them.
        second_order: Whether its loss contains a gradient, which torch.compile does not differentiate.
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
    second_order: bool = False

    def __post_init__(self) -> None:
        """Rejects invalid settings."""
        if not 0 <= self.frozen <= 4 or not self.lr_scale > 0 or self.batch_replays < 1:
            raise ValueError(f"{self.name}: frozen must be in 0 ... 4, lr_scale positive and batch_replays at least 1")
