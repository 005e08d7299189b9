"""Standard against another regime: an architecture per line, surer differences bolder."""

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.analysis.baselines import row_kind
from benchmark.leaderboard.analysis.contrasts import BASE, Contrast, compute_contrasts
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.html.charts import LINE, Label, around, spread
from benchmark.leaderboard.html.page_input import digits
from benchmark.leaderboard.table import LeaderboardTable, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """An architecture from one regime to another.

    Attributes:
        left: Height of its score in the first regime.
        right: Height in the second.
        verdict: "better" or "worse" if the planned contrast is told apart (Holm over architectures), else "unsure".
        told: The difference in words.
    """

    left: float
    right: float
    verdict: str
    told: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SlopeChart:
    """A panel: one column of the table, standard against another regime."""

    column: Column
    regime: str
    height: float
    slopes: tuple[Slope, ...]
    left: tuple[Label, ...]
    right: tuple[Label, ...]
    baselines: tuple[Label, ...]
    beyond: tuple[str, ...]

    @property
    def told(self) -> str:
        """The panel in words."""
        counts = {kind: sum(slope.verdict == kind for slope in self.slopes) for kind in ("better", "worse", "unsure")}
        return (
            f"{self.column.title}, standard to {self.regime}: {counts['better']} of {len(self.slopes)} better, "
            f"{counts['worse']} worse, {counts['unsure']} not told apart"
        )


def build_slope_charts(
    leaderboard: LeaderboardTable, models: Container[tuple[str, str]], known: Sequence[Contrast] | None = None
) -> dict[str, list[SlopeChart]]:
    """Panels of each regime that stands beside the standard one, by its name.

    Args:
        leaderboard: The table.
        models: Names and regimes of the models that are drawn.
        known: Its contrasts; None finds them.
    """
    contrasts: dict[tuple[str, str], list[Contrast]] = defaultdict(list)
    for each in compute_contrasts(leaderboard) if known is None else known:
        if (each.name, each.regime) not in models or (each.name, BASE) not in models:
            continue
        contrasts[each.regime, each.column.name].append(each)
    regimes = dict.fromkeys(regime for regime, _ in contrasts)
    drawn = [column for column in leaderboard.columns if column.by_regime]
    found = {
        regime: [_slopes(leaderboard, family) for column in drawn if (family := contrasts[regime, column.name])]
        for regime in regimes
    }
    return {regime: panels for regime, panels in found.items() if panels}


def _slopes(leaderboard: LeaderboardTable, family: Sequence[Contrast]) -> SlopeChart:
    column = family[0].column
    rows = {(row.name, row.regime): row for row in leaderboard.models}
    pairs = [(rows[each.name, BASE], rows[each.name, each.regime]) for each in family]
    values = [row.estimates[column.name].value for pair in pairs for row in pair]
    scale = around(values)
    marks = [row for row in leaderboard.rows if not row.is_model and row.known(column)]
    above = [row for row in marks if row.estimates[column.name].value > scale.high]
    below = [row for row in marks if row.estimates[column.name].value < scale.low]
    inside = [row for row in marks if row.name not in {other.name for other in (*above, *below)}]
    height = max(200.0, LINE * 1.15 * (len(pairs) + len(inside)))

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
        regime=family[0].title,
        height=height,
        slopes=tuple(_slope(each, at(one), at(other)) for each, (one, other) in zip(family, pairs, strict=True)),
        left=tuple(spread(left, height)),
        right=tuple(spread(right, height)),
        baselines=tuple(label(row, row.name) for row in inside),
        beyond=tuple(
            f"{where}: {', '.join(f'{row.name} {value(row)}' for row in rows)}"
            for where, rows in (("above", above), ("below", below))
            if rows
        ),
    )


def _slope(contrast: Contrast, left: float, right: float) -> Slope:
    known = contrast.difference
    told = f"{contrast.name}: {known.value:+.3f} ({known.low:+.3f} to {known.high:+.3f}), p = {contrast.adjusted:.3f}"
    verdict = contrast.verdict if contrast.told_apart and contrast.column.higher_is_better is not None else "unsure"
    return Slope(left=left, right=right, verdict=verdict, told=told)
