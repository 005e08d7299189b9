"""Slope charts of standard training against another regime: one line per architecture."""

import math
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.baselines import row_kind
from benchmark.leaderboard.analysis.contrasts import Contrast, compute_contrasts
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.export.grid import NO_INTERVAL
from benchmark.leaderboard.html.charts import MIN_LABEL_DISTANCE, Label, around, spread
from benchmark.leaderboard.html.page_input import digits
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.phrases import format_count


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """An architecture from one regime to another.

    Attributes:
        left: Height of its score in the first regime.
        right: Height in the second.
        verdict: "better" or "worse" if the planned contrast is significant over new trainings (Holm over the
            architectures and regimes of a column), else "unsure".
        description: The difference as text.
    """

    left: float
    right: float
    verdict: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SlopeChart:
    """A panel: one column of the table, standard against another regime."""

    column: Column
    base: str
    regime: str
    height: float
    slopes: tuple[Slope, ...]
    left: tuple[Label, ...]
    right: tuple[Label, ...]
    baselines: tuple[Label, ...]
    outside: tuple[str, ...]
    tested: bool

    @property
    def description(self) -> str:
        """Text for screen readers."""
        if not self.tested:
            trainings = format_count(len(self.slopes), "single training")
            return f"{self.column.title}, {self.base} to {self.regime}: {trainings} each"
        counts = {kind: sum(slope.verdict == kind for slope in self.slopes) for kind in ("better", "worse", "unsure")}
        return (
            f"{self.column.title}, {self.base} to {self.regime}: {counts['better']} of {len(self.slopes)} better, "
            f"{counts['worse']} worse, {counts['unsure']} not significantly different"
        )


def build_slope_charts(
    leaderboard: LeaderboardTable, models: Container[tuple[str, str]], existing: Sequence[Contrast] | None = None
) -> dict[str, list[SlopeChart]]:
    """Builds the panels of each regime other than standard, by its name.

    Args:
        leaderboard: The table.
        models: Names and regimes of the models to draw.
        existing: Contrasts of the table. None computes them.
    """
    contrasts: dict[tuple[str, str], list[Contrast]] = defaultdict(list)
    for contrast in compute_contrasts(leaderboard) if existing is None else existing:
        if (contrast.name, contrast.regime) not in models or (contrast.name, contrast.base) not in models:
            continue
        contrasts[contrast.regime, contrast.column.name].append(contrast)
    regimes = dict.fromkeys(regime for regime, _ in contrasts)
    drawn = [column for column in leaderboard.columns if column.by_regime]
    panels_by_regime = {
        regime: [_slopes(leaderboard, family) for column in drawn if (family := contrasts[regime, column.name])]
        for regime in regimes
    }
    return {regime: panels for regime, panels in panels_by_regime.items() if panels}


def _slopes(leaderboard: LeaderboardTable, family: Sequence[Contrast]) -> SlopeChart:
    column = family[0].column
    rows = {(row.name, row.regime): row for row in leaderboard.models}
    pairs = [(rows[contrast.name, contrast.base], rows[contrast.name, contrast.regime]) for contrast in family]
    values = [row.estimates[column.name].value for pair in pairs for row in pair]
    scale = around(values)
    baselines = [row for row in leaderboard.rows if not row.is_model and row.finite_estimate(column)]
    above = [row for row in baselines if row.estimates[column.name].value > scale.high]
    below = [row for row in baselines if row.estimates[column.name].value < scale.low]
    inside = [row for row in baselines if row.name not in {other.name for other in (*above, *below)}]
    height = max(200.0, MIN_LABEL_DISTANCE * 1.15 * (len(pairs) + len(inside)))

    def at(row: Row) -> float:
        return round(height * (1 - scale.position(row.estimates[column.name].value) / 100), 1)

    def label(row: Row, text: str) -> Label:
        return Label(text=text, y=at(row), at=at(row), kind=row_kind(row))

    def value(row: Row) -> str:
        return digits(row.estimates[column.name].value)

    left = [label(one, f"{one.name} {value(one)}") for one, _ in pairs]
    right = [label(other, f"{value(other)} {other.name}") for _, other in pairs]
    right += [label(row, f"{value(row)} {row.name}") for row in inside]
    return SlopeChart(
        column=column,
        base=family[0].base,
        regime=family[0].title,
        height=height,
        tested=any(contrast.difference.scope == "models" for contrast in family),
        slopes=tuple(
            _slope(contrast, at(one), at(other)) for contrast, (one, other) in zip(family, pairs, strict=True)
        ),
        left=tuple(spread(left, height)),
        right=tuple(spread(right, height)),
        baselines=tuple(label(row, row.name) for row in inside),
        outside=tuple(
            f"{side}: {', '.join(f'{row.name} {value(row)}' for row in group)}"
            for side, group in (("above the axis", above), ("below the axis", below))
            if group
        ),
    )


def _slope(contrast: Contrast, left: float, right: float) -> Slope:
    difference = contrast.difference
    known = math.isfinite(difference.low)
    interval = f"{difference.low:+.3f} to {difference.high:+.3f}" if known else NO_INTERVAL
    verdict = contrast.verdict
    description = f"{contrast.name}: {difference.value:+.3f} ({interval}), {verdict}"
    kind = verdict if contrast.significant and contrast.column.higher_is_better is not None else "unsure"
    return Slope(left=left, right=right, verdict=kind, description=description)
