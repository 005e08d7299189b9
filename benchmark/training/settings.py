"""How long and how fast to train."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Peak of the schedule of AdamW: a warm-up over 30 % of the steps, then a cosine down to zero
            (Smith and Topin, Super-convergence, 2019).
        bfloat16: Whether the network runs in bfloat16 autocast.
        patience: Number of epochs without a lower validation loss after which training stops. 0 disables it.
        small_size: Height and width of the images in pixels during all but the last epochs. None trains at full size.
        full_size_epochs: Number of last epochs at full size, if there is a small size.
        compile: One of :data:`benchmark.config.presets.COMPILE_MODES`. None disables compilation.
        clip: Maximum norm of the gradient of all weights. Larger gradients are scaled down to it.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    bfloat16: bool
    patience: int = 0
    small_size: int | None = None
    full_size_epochs: int = 0
    compile: str | None = None
    clip: float = 5.0

    def __post_init__(self) -> None:
        """Rejects invalid settings.

        Raises:
            ValueError: A setting is out of its range.
        """
        if self.epochs < 1 or self.batch_size < 1 or self.patience < 0:
            raise ValueError(f"{self} is invalid: epochs and batch_size must be positive, patience not negative")
        if not (self.learning_rate > 0 and self.clip > 0):
            raise ValueError(f"{self} is invalid: learning rate and clip must be positive")
        if self.small_size is not None and (self.patience or not 0 < self.full_size_epochs < self.epochs):
            raise ValueError(f"{self} is invalid: small images need no patience and some, not all, epochs at full size")
