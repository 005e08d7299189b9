"""What the page says of a results directory, as text and places, before it is drawn."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark.leaderboard.analysis.baselines import best_baseline, human_ceiling, row_kind
from benchmark.leaderboard.analysis.chance import beats_chance
from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate

MAX_SHOWN_MODELS = 250
"""So many models, the best by F1, have a line and a card; a page of more is slow to open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageInput:
    """A results directory that stands in the page.

    Attributes:
        published: Its records.
        leaderboards: One per saliency method, the main one first.
        contrasts: Of each board; empty where nobody found them yet.
    """

    published: ResultsDirectory
    leaderboards: Sequence[LeaderboardTable]
    contrasts: Sequence[Sequence[Contrast]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The axis that all intervals of a column are drawn on; it holds those of all models."""

    low: float
    high: float

    def position(self, value: float) -> float:
        """Where a value stands, in per cent of the axis, for CSS and SVG.

        Example:
            >>> Scale(low=0.2, high=0.6).position(0.3)
            25.0
        """
        return round(100 * (value - self.low) / (self.high - self.low), 1) + 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """A column of the page's table.

    Attributes:
        column: What it is.
        part: "main", "diagnosis" or "more".
        scale: The axis of its intervals.
        usual: Number of images that most rows have a say of.
        baseline: Place of the best baseline on the axis, in per cent; None without one or outside of the axis.
        ceiling: Place of the human ceiling, likewise.
    """

    column: Column
    part: str
    scale: Scale
    usual: int
    baseline: float | None
    ceiling: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCell:
    """A number with its interval.

    Attributes:
        known: The estimate.
        scale: The axis it is drawn on.
        usual: Number of images of its column, said where its own differs.
    """

    known: Estimate
    scale: Scale
    usual: int

    @property
    def value(self) -> str:
        """The mean, to be read."""
        return digits(self.known.value)

    @property
    def interval(self) -> str:
        """Its interval, to be read."""
        known = math.isfinite(self.known.low) and math.isfinite(self.known.high)
        return f"{digits(self.known.low)} to {digits(self.known.high)}" if known else "no interval"

    @property
    def order(self) -> str:
        """The mean, to sort by."""
        return f"{self.known.value + 0.0:.6f}"

    @property
    def style(self) -> str:
        """Places of mean and interval on the axis, as CSS variables; what lies outside is drawn at its end."""
        ends = (self.known.low, self.known.value, self.known.high)
        known = (end if math.isfinite(end) else self.known.value for end in ends)
        low, value, high = (min(max(self.scale.position(each), 0.0), 100.0) for each in known)
        return f"--l:{low:g}%;--v:{value:g}%;--w:{max(high - low, 0):.1f}%"

    @property
    def outside(self) -> str:
        """Says "over" or "under" where the mean lies outside of the axis, else nothing."""
        return "over" if self.known.value > self.scale.high else "under" if self.known.value < self.scale.low else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row of the page's table.

    Attributes:
        row: What it is of.
        kind: "model", "baseline" or "ceiling".
        place: Its place among the models, from 1; 0 for a baseline.
        doubtful: Whether its diagnosis does not beat chance with the whole interval.
        group: Letters of its tie groups, where the board has them.
        gap: Whether every model above it is told apart from it and from all below it.
        cells: By name of the column.
    """

    row: Row
    kind: str
    place: int
    doubtful: bool
    group: str
    gap: bool
    cells: dict[str, TableCell]

    @property
    def label(self) -> str:
        """Name in charts and for screen readers."""
        return f"{self.row.name}, {self.row.title}" if self.row.is_model else self.row.name


@dataclass(frozen=True, kw_only=True)
class Table:
    """A board, ready to be drawn."""

    leaderboard: LeaderboardTable
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]

    @property
    def models(self) -> int:
        """Number of models, with those that have no line."""
        return len(self.leaderboard.models)

    @property
    def shown(self) -> int:
        """Number of models that have a line."""
        return sum(line.row.is_model for line in self.lines)

    @cached_property
    def rows(self) -> dict[tuple[str, str], Row]:
        """The models that have a line, by name and regime."""
        return {(line.row.name, line.row.regime): line.row for line in self.lines if line.row.is_model}


def digits(value: float) -> str:
    """A number to be read; a dash where there is none.

    Example:
        >>> digits(-0.0004), digits(float("nan"))
        ('0.000', '-')
    """
    return f"{round(value, 3) + 0.0:.3f}" if math.isfinite(value) else "-"


def select_shown_models(main: LeaderboardTable) -> frozenset[tuple[str, str]]:
    """Names and regimes of the models that the page shows: all, or of very many the best of the main table."""
    return frozenset((row.name, row.regime) for row in main.models[:MAX_SHOWN_MODELS])


def build_page_table(leaderboard: LeaderboardTable, models: Container[tuple[str, str]]) -> Table:
    """The table of a board.

    Args:
        leaderboard: All of it.
        models: Names and regimes of the models that have a line.
    """
    headings = tuple(
        _heading(leaderboard, column) for column in leaderboard.columns if _known(leaderboard.rows, column)
    )
    lines = []
    for place, row in enumerate(leaderboard.rows, start=1):
        if row.is_model and (row.name, row.regime) not in models:
            continue
        lines.append(
            Line(
                row=row,
                kind=row_kind(row),
                place=place if row.is_model else 0,
                doubtful=row.is_model and not beats_chance(row, leaderboard),
                group=row.letters.get(RANKED_BY, ""),
                gap=row.is_model and place > 1 and bool(leaderboard.pairs.apart[: place - 1, place - 1 :].all()),
                cells={
                    heading.column.name: TableCell(known=known, scale=heading.scale, usual=heading.usual)
                    for heading in headings
                    if (known := row.known(heading.column))
                },
            )
        )
    return Table(leaderboard=leaderboard, headings=headings, lines=tuple(lines))


def _known(rows: Sequence[Row], column: Column) -> list[Estimate]:
    """Estimates of a column that are numbers."""
    return [known for row in rows if (known := row.known(column))]


def _heading(leaderboard: LeaderboardTable, column: Column) -> Heading:
    known = _known(leaderboard.rows, column)
    scale = _scale(known, _known(leaderboard.models, column) or known)
    best, ceiling = best_baseline(leaderboard, column), human_ceiling(leaderboard, column)
    return Heading(
        column=column,
        part="main" if column.headline else "diagnosis" if column.classification else "more",
        scale=scale,
        usual=max(each.images for each in known),
        baseline=_mark(scale, best, column),
        ceiling=_mark(scale, ceiling, column),
    )


def _scale(everything: Sequence[Estimate], models: Sequence[Estimate]) -> Scale:
    """An axis for the models' intervals; baselines widen it at most threefold, or no interval could be seen."""

    def ends(known: Sequence[Estimate]) -> list[float]:
        return [end for each in known for end in (each.low, each.value, each.high) if math.isfinite(end)]

    low, high = min(ends(models)), max(ends(models))
    room = (high - low) or 0.5
    low, high = max(low - room, min(ends(everything))), min(high + room, max(ends(everything)))
    margin = 0.04 * (high - low) or 0.5
    return Scale(low=low - margin, high=high + margin)


def _mark(scale: Scale, row: Row | None, column: Column) -> float | None:
    """Where a row's line stands in every cell of a column; None where it stands outside of the axis."""
    place = scale.position(row.estimates[column.name].value) if row else -1.0
    return place if 0 <= place <= 100 else None
