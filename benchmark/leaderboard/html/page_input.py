"""Content of the page's tables: rows, cells and the positions of their bars."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark.leaderboard.analysis.baselines import best_baseline, human_ceiling, row_kind
from benchmark.leaderboard.analysis.chance import find_obstacle
from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.analysis.masking import is_masked
from benchmark.leaderboard.analysis.part_reliance import PartReliance
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.export.grid import digits as export_digits
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate

MAX_SHOWN_MODELS = 250
"""Maximum number of models with a line and a card, the best by map F1. A larger page opens slowly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageInput:
    """A results directory for the page.

    Attributes:
        published: Its records.
        leaderboards: One per saliency method, the main one first.
        contrasts: Those of each leaderboard. Empty to compute them.
        subgroups: Reliance by subgroup. None to compute it.
    """

    published: ResultsDirectory
    leaderboards: Sequence[LeaderboardTable]
    contrasts: Sequence[Sequence[Contrast]] = ()
    subgroups: Sequence[PartReliance] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The axis of all intervals of a column."""

    low: float
    high: float

    def position(self, value: float) -> float:
        """Returns the position of a value in percent of the axis, for CSS and SVG.

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
        part: "main", "classification" or "more".
        scale: The axis of its intervals.
        num_images: Maximum number of images of its rows.
        baseline: Position of the best baseline, or of the reference, on the axis, in percent. None without one or
            outside of the axis.
        ceiling: Position of the human ceiling, likewise.
    """

    column: Column
    part: str
    scale: Scale
    num_images: int
    baseline: float | None
    ceiling: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCell:
    """A number with its interval.

    Attributes:
        estimate: The estimate.
        scale: The axis it is drawn on.
        num_images: Number of images of its column. Shown where that of the cell differs.
        common: Mean and number of the images that all models have. None where all have all.
    """

    estimate: Estimate
    scale: Scale
    num_images: int
    common: tuple[float, int] | None = None

    @property
    def value(self) -> str:
        """The mean as text."""
        return digits(self.estimate.value)

    @property
    def interval(self) -> str:
        """The interval as text."""
        finite = math.isfinite(self.estimate.low) and math.isfinite(self.estimate.high)
        return f"{digits(self.estimate.low)} to {digits(self.estimate.high)}" if finite else "no interval"

    @property
    def order(self) -> str:
        """The mean as sort key."""
        return f"{self.estimate.value + 0.0:.6f}"

    @property
    def style(self) -> str:
        """Positions of mean and interval as CSS variables, clipped to the axis."""
        ends = (self.estimate.low, self.estimate.value, self.estimate.high)
        finite = (end if math.isfinite(end) else self.estimate.value for end in ends)
        low, value, high = (min(max(self.scale.position(end), 0.0), 100.0) for end in finite)
        return f"--l:{low:g}%;--v:{value:g}%;--w:{max(high - low, 0):.1f}%"

    @property
    def outside(self) -> str:
        """Returns "over" or "under" where the mean is outside of the axis, else an empty string."""
        return (
            "over" if self.estimate.value > self.scale.high else "under" if self.estimate.value < self.scale.low else ""
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row of the page's table.

    Attributes:
        row: The row of the leaderboard.
        kind: "model", "baseline" or "ceiling".
        rank: Its rank among the models, from 1. 0 for a model without a rank, and for a baseline.
        obstacle: Why it is not known to beat chance, see :mod:`benchmark.leaderboard.analysis.chance`. Empty if it is.
        masked: Whether an attack on it may be masked.
        letters: Letters of its significance groups, where the leaderboard has them.
        gap: Whether every model above it is significantly different from it and from all below it.
        cells: Cells by name of the column.
    """

    row: Row
    kind: str
    rank: int
    obstacle: str
    masked: bool
    letters: str
    gap: bool
    cells: dict[str, TableCell]

    @property
    def label(self) -> str:
        """Name in charts and for screen readers."""
        return f"{self.row.name}, {self.row.title}" if self.row.is_model else self.row.name


@dataclass(frozen=True, kw_only=True)
class Table:
    """A leaderboard with the content of all its cells."""

    leaderboard: LeaderboardTable
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]

    @property
    def models(self) -> int:
        """Number of models, including those without a line."""
        return len(self.leaderboard.models)

    @property
    def has_grids(self) -> bool:
        """Whether the grid of any model is known."""
        return any(line.row.alignment is not None and line.row.alignment.displacement for line in self.lines)

    @property
    def shown(self) -> int:
        """Number of models with a line."""
        return sum(line.row.is_model for line in self.lines)

    @cached_property
    def rows(self) -> dict[tuple[str, str], Row]:
        """Models with a line, by name and regime."""
        return {(line.row.name, line.row.regime): line.row for line in self.lines if line.row.is_model}


def digits(value: float) -> str:
    """Formats a number with three decimals. Returns a dash for NaN and infinity.

    Example:
        >>> digits(-0.0004), digits(float("nan"))
        ('0.000', '-')
    """
    return export_digits(value, 3) or "-"


def select_shown_models(main: LeaderboardTable) -> frozenset[tuple[str, str]]:
    """Returns names and regimes of the models on the page: all, or of very many the best of the main table."""
    return frozenset((row.name, row.regime) for row in main.models[:MAX_SHOWN_MODELS])


def build_page_table(leaderboard: LeaderboardTable, models: Container[tuple[str, str]]) -> Table:
    """Builds the table of a leaderboard.

    Args:
        leaderboard: All rows and columns.
        models: Names and regimes of the models with a line.
    """
    headings = tuple(
        _heading(leaderboard, column) for column in leaderboard.columns if _estimates(leaderboard.rows, column)
    )
    lines = []
    significant = leaderboard.pairs.significant
    for index, row in enumerate(leaderboard.rows):
        if row.is_model and (row.name, row.regime) not in models:
            continue
        lines.append(
            Line(
                row=row,
                kind=row_kind(row),
                rank=row.rank or 0,
                obstacle=find_obstacle(row, leaderboard) if row.is_model else "",
                masked=is_masked(row),
                letters=row.letters.get(RANKED_BY, ""),
                gap=bool(row.rank) and index > 0 and bool(significant[:index, index:].all()),
                cells={
                    heading.column.name: TableCell(
                        estimate=estimate,
                        scale=heading.scale,
                        num_images=heading.num_images,
                        common=row.common.get(heading.column.name),
                    )
                    for heading in headings
                    if (estimate := row.finite_estimate(heading.column))
                },
            )
        )
    return Table(leaderboard=leaderboard, headings=headings, lines=tuple(lines))


def _estimates(rows: Sequence[Row], column: Column) -> list[Estimate]:
    """Returns the finite estimates of a column."""
    return [estimate for row in rows if (estimate := row.finite_estimate(column))]


def _heading(leaderboard: LeaderboardTable, column: Column) -> Heading:
    estimates = _estimates(leaderboard.rows, column)
    scale = _scale(estimates, _estimates(leaderboard.models, column) or estimates)
    best, ceiling = best_baseline(leaderboard, column), human_ceiling(leaderboard, column)
    return Heading(
        column=column,
        part="main" if column.headline else "classification" if column.classification else "more",
        scale=scale,
        num_images=max(estimate.images for estimate in estimates),
        baseline=_mark(scale, best.estimates[column.name] if best else _reference(leaderboard, column)),
        ceiling=_mark(scale, ceiling.estimates[column.name] if ceiling else None),
    )


def _reference(leaderboard: LeaderboardTable, column: Column) -> Estimate | None:
    """Returns the estimate that a column is compared with, such as the accuracy of a constant answer."""
    found = (row.estimates[column.reference] for row in leaderboard.models if column.reference in row.estimates)
    return next(found, None)


def _scale(rows: Sequence[Estimate], models: Sequence[Estimate]) -> Scale:
    """Returns an axis for the models. Baselines widen it at most threefold, so that intervals stay visible."""

    def ends(estimates: Sequence[Estimate]) -> list[float]:
        return [
            end for estimate in estimates for end in (estimate.low, estimate.value, estimate.high) if math.isfinite(end)
        ]

    low, high = min(ends(models)), max(ends(models))
    width = (high - low) or 0.5
    low, high = max(low - width, min(ends(rows))), min(high + width, max(ends(rows)))
    margin = 0.04 * (high - low) or 0.5
    return Scale(low=low - margin, high=high + margin)


def _mark(scale: Scale, estimate: Estimate | None) -> float | None:
    """Returns the position of a reference line in the cells of a column. None outside of the axis."""
    position = scale.position(estimate.value) if estimate else -1.0
    return position if 0 <= position <= 100 else None
