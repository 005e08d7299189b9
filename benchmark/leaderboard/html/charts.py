"""What the page's charts share: axes, labels that make room for each other, curves. The template draws them as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.html.page_input import Scale, digits

LINE = 13.0
"""Least distance of two labels that stand one below the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Text that belongs to a point `y` and stands at `at`, since its neighbors need room too."""

    text: str
    y: float
    at: float
    kind: str = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The course of a training: a polyline per seed.

    Attributes:
        losses: Points of the training losses, as SVG takes them.
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
    """An axis that holds values with a little room."""
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
        at = max(label.y, placed[-1].at + LINE) if placed else label.y
        placed.append(Label(text=label.text, y=label.y, at=at, kind=label.kind))
    limit = height
    for number in range(len(placed) - 1, -1, -1):
        label = placed[number]
        if label.at <= limit:
            break
        placed[number] = Label(text=label.text, y=label.y, at=limit, kind=label.kind)
        limit -= LINE
    return placed


def ticks(scale: Scale) -> list[tuple[str, float]]:
    """Round numbers within an axis with their places in per cent.

    Example:
        >>> ticks(Scale(low=0.0, high=0.5))
        [('0.0', 0.0), ('0.1', 20.0), ('0.2', 40.0), ('0.3', 60.0), ('0.4', 80.0), ('0.5', 100.0)]
    """
    rough = (scale.high - scale.low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= 0.999 * rough)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = range(math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9) + 1)
    return [(f"{number * step:.{places}f}", scale.position(number * step)) for number in numbers]


def build_loss_curve(losses: Sequence[Sequence[float]], validation: Sequence[Sequence[float]]) -> Curve | None:
    """The course of a training of each seed, in a frame of 100 by 100; None where nothing was kept."""
    known = [value for course in (*losses, *validation) for value in course if math.isfinite(value)]
    epochs = max((len(course) for course in (*losses, *validation)), default=0)
    if not known or epochs < 2:
        return None
    scale = around(known)

    def points(course: Sequence[float]) -> str:
        return " ".join(
            f"{100 * epoch / (epochs - 1):.1f},{100 - scale.position(value):.1f}"
            for epoch, value in enumerate(course)
            if math.isfinite(value)
        )

    return Curve(
        losses=tuple(points(course) for course in losses if course),
        validation=tuple(points(course) for course in validation if course),
        epochs=epochs,
        top=digits(scale.high),
        bottom=digits(scale.low),
    )
