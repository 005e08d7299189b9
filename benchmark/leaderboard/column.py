"""What a column of the leaderboard is: a statistic of a row, and every place where it is shown."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.scores import Kind
from benchmark.leaderboard.load.statistics import MeanScore
from benchmark.statistics.ratios import RatioStatistic


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """The same score with a choice changed that should not matter.

    Attributes:
        column: Name of the column that has it.
        change: What is changed, in words.
    """

    column: str
    change: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One statistic of a row, and where it is shown.

    Every column stands in the CSV files, in the list of columns, in the page's table and on the cards. The flags say
    where else.

    Attributes:
        name: Name in the CSV file.
        title: Heading in the tables that people read.
        higher_is_better: Direction; None where neither end is better.
        definition: What it says, in one sentence.
        of: The statistic, or None where the row has no such thing.
        bounds: Least and greatest value; no interval leaves them.
        redefined: Whether the metric has meant different things; the definition shown is then that of the record.
        headline: Whether the main table shows it, with letters, and the page draws it against the accuracy.
        classification: Whether it belongs to the table of the diagnosis.
        contrasted: Whether the page and the LaTeX table set standard training against other regimes by it.
        by_regime: Whether it has a panel in the figure of regimes and in the slope charts.
        agreement: Whether its order of the models is set against that of the other scores.
        alternatives: Columns that should rank the models as this one does.
    """

    name: str
    title: str
    higher_is_better: bool | None
    definition: str
    of: Callable[[RowData], RatioStatistic | None]
    bounds: tuple[float, float] = (0.0, 1.0)
    redefined: bool = False
    headline: bool = False
    classification: bool = False
    contrasted: bool = False
    by_regime: bool = False
    agreement: bool = False
    alternatives: tuple[Alternative, ...] = ()

    @property
    def heading(self) -> str:
        """Title with an arrow towards better."""
        arrow = {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]
        return self.title + arrow

    @property
    def metric(self) -> str:
        """The metric whose scores it reads; empty where it reads predictions."""
        return self.of.metric if isinstance(self.of, MeanScore) else ""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Metric and levels of the scores that it reads; none of the diagnosis."""
        return tuple((self.of.metric, level) for level in self.of.levels) if isinstance(self.of, MeanScore) else ()
