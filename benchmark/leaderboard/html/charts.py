"""Axes, labels and loss curves of the page's charts. The templates draw them as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.html.page_input import Scale, digits

MIN_LABEL_DISTANCE = 13.0
"""Minimum vertical distance of two labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Text for a point at height `y`, drawn at height `at` to make room for its neighbors."""

    text: str
    y: float
    at: float
    kind: str = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Loss curves of a training: one polyline per seed.

    Attributes:
        losses: Points of the training losses, for SVG.
        validation: Points of the validation losses.
        epochs: Number of epochs.
        top: The loss at the upper edge.
        bottom: The loss at the lower edge.
    """

    losses: tuple[str, ...]
    validation: tuple[str, ...]
    epochs: int
    top: str
    bottom: str


def around(values: Sequence[float]) -> Scale:
    """Returns an axis that holds all values, with a margin."""
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05
    return Scale(low=low - margin, high=high + margin)


def spread(labels: Sequence[Label], height: float) -> list[Label]:
    """Moves labels so that no two touch and all stay within the height, if it has room.

    Example:
        >>> [label.at for label in spread([Label(text="a", y=5, at=5), Label(text="b", y=6, at=6)], 100)]
        [5, 18.0]
    """
    placed: list[Label] = []
    for label in sorted(labels, key=lambda label: (label.y, label.text)):
        at = max(label.y, placed[-1].at + MIN_LABEL_DISTANCE) if placed else label.y
        placed.append(Label(text=label.text, y=label.y, at=at, kind=label.kind))
    limit = height
    for index in range(len(placed) - 1, -1, -1):  # from below, move back up what left the height
        label = placed[index]
        if label.at <= limit:
            break
        placed[index] = Label(text=label.text, y=label.y, at=limit, kind=label.kind)
        limit -= MIN_LABEL_DISTANCE
    return placed


def ticks(scale: Scale) -> list[tuple[str, float]]:
    """Returns round numbers within an axis, with their positions in percent.

    Example:
        >>> ticks(Scale(low=0.0, high=0.5))
        [('0.0', 0.0), ('0.1', 20.0), ('0.2', 40.0), ('0.3', 60.0), ('0.4', 80.0), ('0.5', 100.0)]
    """
    target = (scale.high - scale.low) / 5
    power = 10.0 ** math.floor(math.log10(target))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= 0.999 * target)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    multiples = range(math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9) + 1)
    return [(f"{multiple * step:.{decimals}f}", scale.position(multiple * step)) for multiple in multiples]


def build_loss_curve(losses: Sequence[Sequence[float]], validation: Sequence[Sequence[float]]) -> Curve | None:
    """Builds the loss curves of each seed, in a frame of 100 by 100. None where the records have no losses."""
    values = [value for seed_losses in (*losses, *validation) for value in seed_losses if math.isfinite(value)]
    epochs = max((len(seed_losses) for seed_losses in (*losses, *validation)), default=0)
    if not values or epochs < 2:
        return None
    scale = around(values)

    def points(seed_losses: Sequence[float]) -> str:
        return " ".join(
            f"{100 * epoch / (epochs - 1):.1f},{100 - scale.position(value):.1f}"
            for epoch, value in enumerate(seed_losses)
            if math.isfinite(value)
        )

    return Curve(
        losses=tuple(points(seed_losses) for seed_losses in losses if seed_losses),
        validation=tuple(points(seed_losses) for seed_losses in validation if seed_losses),
        epochs=epochs,
        top=digits(scale.high),
        bottom=digits(scale.low),
    )
