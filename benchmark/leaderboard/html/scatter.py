"""Accuracy of the diagnosis against the quality of the maps: a model per point."""

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.baselines import row_kind
from benchmark.leaderboard.analysis.chance import chance_of
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import ACCURACY
from benchmark.leaderboard.html.charts import Label, around, spread, ticks
from benchmark.leaderboard.html.page_input import Scale, digits
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate

WIDTH, HEIGHT = 620.0, 330.0
"""Of a panel's inside."""
MARGIN = 235.0
"""What the names of the baselines take of it, where any stand there."""
LETTER = 6.2
"""About the width of a letter in a chart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A model in the plane of accuracy and quality; arms are its intervals, in the units of the chart."""

    row: Row
    x: float
    y: float
    arms: tuple[float, float, float, float]
    series: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """An architecture's name beside its point; dots stand for no room."""

    text: str
    x: float
    y: float
    anchor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScatterPlot:
    """A panel: accuracy of the diagnosis against one quality of the maps."""

    across: Column
    up: Column
    width: float
    height: float
    points: tuple[Point, ...]
    names: tuple[Name, ...]
    ticks: tuple[tuple[str, float], ...]
    rungs: tuple[tuple[str, float], ...]
    baselines: tuple[Label, ...]
    chance: float | None


def build_scatter_plots(
    leaderboard: LeaderboardTable, models: Container[tuple[str, str]], series: dict[str, int]
) -> Iterator[ScatterPlot]:
    """Panels of accuracy against each quality of the maps.

    Args:
        leaderboard: The table.
        models: Names and regimes of the models that are drawn.
        series: Number of each regime by its title, which decides its color and mark.
    """
    across = leaderboard.column(ACCURACY)
    drawn = [row for row in leaderboard.models if (row.name, row.regime) in models and row.known(across)]
    for up in (column for column in leaderboard.columns if column.headline):
        rows = [row for row in drawn if row.known(up)]
        if len(rows) < 2:
            continue
        xs, ys = (around(_ends(rows, column)) for column in (across, up))
        lines = _lines(leaderboard, up, ys)
        width = WIDTH - MARGIN if lines else WIDTH
        points = tuple(_point(row, across, up, (xs, ys, width, HEIGHT), series) for row in rows)
        chance = xs.position(chance_of(leaderboard)) * width / 100
        yield ScatterPlot(
            across=across,
            up=up,
            width=width,
            height=HEIGHT,
            points=points,
            names=tuple(_names(points, width, HEIGHT)),
            ticks=tuple((text, width * place / 100) for text, place in ticks(xs)),
            rungs=tuple((text, HEIGHT * (1 - place / 100)) for text, place in ticks(ys)),
            baselines=tuple(spread(lines, HEIGHT)),
            chance=chance if 0 <= chance <= width else None,
        )


def _lines(leaderboard: LeaderboardTable, up: Column, scale: Scale) -> list[Label]:
    """A line for each baseline that stands among the models."""
    lines = []
    for row in leaderboard.rows:
        if row.is_model or not row.known(up):
            continue
        value = row.estimates[up.name].value
        y = HEIGHT * (1 - scale.position(value) / 100)
        if 0 <= y <= HEIGHT:
            lines.append(Label(text=f"{digits(value)} {row.name}", y=y, at=y, kind=row_kind(row)))
    return lines


def _ends(rows: Sequence[Row], column: Column) -> list[float]:
    known = [row.estimates[column.name] for row in rows]
    return [end for each in known for end in (each.low, each.high, each.value) if math.isfinite(end)]


def _point(
    row: Row, across: Column, up: Column, frame: tuple[Scale, Scale, float, float], series: dict[str, int]
) -> Point:
    xs, ys, width, height = frame
    x, y = row.estimates[across.name], row.estimates[up.name]
    left, middle, right = (round(width * xs.position(value) / 100, 1) for value in _whole(x))
    bottom, center, top = (round(height * (1 - ys.position(value) / 100), 1) for value in _whole(y))
    return Point(row=row, x=middle, y=center, arms=(left, right, top, bottom), series=series[row.title])


def _whole(known: Estimate) -> list[float]:
    """Low end, mean and high end; the mean where there is no end."""
    return [end if math.isfinite(end) else known.value for end in (known.low, known.value, known.high)]


def _names(points: Sequence[Point], width: float, height: float) -> Iterator[Name]:
    """The name of each architecture once, where it covers no point and no other name, if there is such a place."""
    taken = [(point.x - 5, point.y - 5, point.x + 5, point.y + 5) for point in points]
    named: set[str] = set()
    for point in points:
        if point.row.name in named:
            continue
        length = LETTER * len(point.row.name)
        for dx, dy, anchor in ((9, 4, "start"), (-9, 4, "end"), (0, -9, "middle"), (0, 17, "middle")):
            x, y = point.x + dx, point.y + dy
            left = x - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
            box = (left, y - 10, left + length, y + 2)
            inside = left >= 0 and left + length <= width and y >= 10 and y <= height
            if inside and not any(_touch(box, other) for other in taken):
                taken.append(box)
                named.add(point.row.name)
                yield Name(text=point.row.name, x=round(x, 1), y=round(y, 1), anchor=anchor)
                break


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
