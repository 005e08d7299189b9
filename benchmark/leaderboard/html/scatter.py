"""Scatter plots of classification accuracy against map quality: one point per model."""

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.baselines import row_kind
from benchmark.leaderboard.analysis.chance import chance_level
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import ACCURACY
from benchmark.leaderboard.html.charts import Label, around, spread, ticks
from benchmark.leaderboard.html.page_input import Scale, digits
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate

WIDTH, HEIGHT = 620.0, 330.0
"""Size of the inside of a panel."""
MARGIN = 235.0
"""Width for the names of the baselines, where there are any."""
CHAR_WIDTH = 6.2
"""Approximate width of a character in a chart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A model. Its error bars (left, right, top, bottom) are its intervals, in units of the chart."""

    row: Row
    x: float
    y: float
    error_bars: tuple[float, float, float, float]
    series: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """The name of an architecture next to its point."""

    text: str
    x: float
    y: float
    anchor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScatterPlot:
    """A panel: classification accuracy against one quality of the maps."""

    x_column: Column
    y_column: Column
    width: float
    height: float
    points: tuple[Point, ...]
    names: tuple[Name, ...]
    x_ticks: tuple[tuple[str, float], ...]
    y_ticks: tuple[tuple[str, float], ...]
    baselines: tuple[Label, ...]
    chance: float | None


def build_scatter_plots(
    leaderboard: LeaderboardTable, models: Container[tuple[str, str]], series: dict[str, int]
) -> Iterator[ScatterPlot]:
    """Builds panels of accuracy against each quality of the maps.

    Args:
        leaderboard: The table.
        models: Names and regimes of the models to draw.
        series: Index of each regime by its title. It selects color and mark.
    """
    x_column = leaderboard.column(ACCURACY)
    drawn = [row for row in leaderboard.models if (row.name, row.regime) in models and row.finite_estimate(x_column)]
    for y_column in (column for column in leaderboard.columns if column.headline):
        rows = [row for row in drawn if row.finite_estimate(y_column)]
        if len(rows) < 2:
            continue
        xs, ys = (around(_ends(rows, column)) for column in (x_column, y_column))
        lines = _lines(leaderboard, y_column, ys)
        width = WIDTH - MARGIN if lines else WIDTH
        points = tuple(_point(row, x_column, y_column, (xs, ys, width, HEIGHT), series) for row in rows)
        chance = xs.position(chance_level(leaderboard)) * width / 100
        yield ScatterPlot(
            x_column=x_column,
            y_column=y_column,
            width=width,
            height=HEIGHT,
            points=points,
            names=tuple(_names(points, width, HEIGHT)),
            x_ticks=tuple((text, width * position / 100) for text, position in ticks(xs)),
            y_ticks=tuple((text, HEIGHT * (1 - position / 100)) for text, position in ticks(ys)),
            baselines=tuple(spread(lines, HEIGHT)),
            chance=chance if 0 <= chance <= width else None,
        )


def _lines(leaderboard: LeaderboardTable, y_column: Column, scale: Scale) -> list[Label]:
    """Returns a line for each baseline within the axis."""
    lines = []
    for row in leaderboard.rows:
        if row.is_model or not row.finite_estimate(y_column):
            continue
        value = row.estimates[y_column.name].value
        y = HEIGHT * (1 - scale.position(value) / 100)
        if 0 <= y <= HEIGHT:
            lines.append(Label(text=f"{digits(value)} {row.name}", y=y, at=y, kind=row_kind(row)))
    return lines


def _ends(rows: Sequence[Row], column: Column) -> list[float]:
    estimates = [row.estimates[column.name] for row in rows]
    return [end for estimate in estimates for end in _interval(estimate)]


def _point(
    row: Row, x_column: Column, y_column: Column, frame: tuple[Scale, Scale, float, float], series: dict[str, int]
) -> Point:
    xs, ys, width, height = frame
    x, y = row.estimates[x_column.name], row.estimates[y_column.name]
    left, middle, right = (round(width * xs.position(value) / 100, 1) for value in _interval(x))
    bottom, center, top = (round(height * (1 - ys.position(value) / 100), 1) for value in _interval(y))
    return Point(row=row, x=middle, y=center, error_bars=(left, right, top, bottom), series=series[row.title])


def _interval(estimate: Estimate) -> list[float]:
    """Returns low end, mean and high end. The mean replaces an end that is not finite."""
    return [end if math.isfinite(end) else estimate.value for end in (estimate.low, estimate.value, estimate.high)]


def _names(points: Sequence[Point], width: float, height: float) -> Iterator[Name]:
    """Yields the name of each architecture once, where it overlaps no point and no other name. Else leaves it out."""
    occupied = [(point.x - 5, point.y - 5, point.x + 5, point.y + 5) for point in points]
    labeled: set[str] = set()
    for point in points:
        if point.row.name in labeled:
            continue
        length = CHAR_WIDTH * len(point.row.name)
        for dx, dy, anchor in ((9, 4, "start"), (-9, 4, "end"), (0, -9, "middle"), (0, 17, "middle")):
            x, y = point.x + dx, point.y + dy
            left = x - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
            box = (left, y - 10, left + length, y + 2)
            inside = left >= 0 and left + length <= width and y >= 10 and y <= height
            if inside and not any(_overlap(box, other) for other in occupied):
                occupied.append(box)
                labeled.add(point.row.name)
                yield Name(text=point.row.name, x=round(x, 1), y=round(y, 1), anchor=anchor)
                break


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
