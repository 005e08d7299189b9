"""Standard against another regime: an architecture per line, surer differences bolder."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.board import Board, Row
from benchmark.leaderboard.columns import Column
from benchmark.leaderboard.page.charts import LINE, Label, around, columns_of, has, spread
from benchmark.leaderboard.page.view import difference, digits, kind_of

STANDARD = "standard"
SLOPES = ("fuzzy_f1", "sparsity", "faithfulness", "sharpness", "balanced_accuracy", "accuracy_under_attack")


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """An architecture from one regime to another.

    Attributes:
        left: Height of its score in the first regime.
        right: Height in the second.
        verdict: "better" or "worse" if the whole interval of the paired difference says so, else "unsure".
        told: The difference in words.
    """

    left: float
    right: float
    verdict: str
    told: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Slopes:
    """A panel: one column of the table, standard against another regime."""

    column: Column
    regime: str
    height: float
    slopes: tuple[Slope, ...]
    left: tuple[Label, ...]
    right: tuple[Label, ...]
    yardsticks: tuple[Label, ...]
    beyond: tuple[str, ...]

    @property
    def told(self) -> str:
        """The panel in words."""
        counts = {kind: sum(slope.verdict == kind for slope in self.slopes) for kind in ("better", "worse", "unsure")}
        return (
            f"{self.column.title}, standard to {self.regime}: {counts['better']} of {len(self.slopes)} better, "
            f"{counts['worse']} worse, {counts['unsure']} not told apart"
        )


def slopes_of(board: Board) -> dict[str, list[Slopes]]:
    """Panels of each regime that stands beside the standard one, by its name."""
    found: dict[str, list[Slopes]] = {}
    regimes = {row.regime: row.title for row in reversed(board.models) if row.regime != STANDARD}
    for regime, title in sorted(regimes.items()):
        pairs = [
            (one, other)
            for one in board.models
            for other in board.models
            if one.name == other.name and (one.regime, other.regime) == (STANDARD, regime)
        ]
        panels = [panel for column in columns_of(SLOPES) if (panel := _slopes(board, column, title, pairs))]
        if panels:
            found[regime] = panels
    return found


def _slopes(board: Board, column: Column, regime: str, pairs: Sequence[tuple[Row, Row]]) -> Slopes | None:
    pairs = [(one, other) for one, other in pairs if has(one, column) and has(other, column)]
    if not pairs:
        return None
    values = [row.estimates[column.name].value for pair in pairs for row in pair]
    scale = around(values)
    marks = [row for row in board.rows if not row.is_model and has(row, column)]
    above = [row for row in marks if row.estimates[column.name].value > scale.high]
    below = [row for row in marks if row.estimates[column.name].value < scale.low]
    inside = [row for row in marks if row.name not in {other.name for other in (*above, *below)}]
    height = max(200.0, LINE * 1.15 * (len(pairs) + len(inside)))

    def at(row: Row) -> float:
        return round(height * (1 - scale.place(row.estimates[column.name].value) / 100), 1)

    def label(row: Row, text: str) -> Label:
        return Label(text=text, y=at(row), at=at(row), kind=kind_of(row))

    def value(row: Row) -> str:
        return digits(row.estimates[column.name].value)

    left = [label(one, f"{one.name} {value(one)}") for one, _ in pairs]
    right = [label(other, f"{value(other)} {other.name}") for _, other in pairs]
    right += [label(row, f"{value(row)} {row.name}") for row in inside]
    return Slopes(
        column=column,
        regime=regime,
        height=height,
        slopes=tuple(_slope(one, other, column, at(one), at(other)) for one, other in pairs),
        left=tuple(spread(left, height)),
        right=tuple(spread(right, height)),
        yardsticks=tuple(label(row, row.name) for row in inside),
        beyond=tuple(
            f"{where}: {', '.join(f'{row.name} {value(row)}' for row in rows)}"
            for where, rows in (("above", above), ("below", below))
            if rows
        ),
    )


def _slope(one: Row, other: Row, column: Column, left: float, right: float) -> Slope:
    before, after = one.estimates[column.name], other.estimates[column.name]
    low, high = difference(after, before)
    sure = low > 0 or high < 0
    better = (low > 0) == (column.higher_is_better is not False)
    told = f"{one.name}: {after.value - before.value:+.3f} ({low:+.3f} to {high:+.3f})"
    return Slope(left=left, right=right, verdict=("better" if better else "worse") if sure else "unsure", told=told)
