"""A column of the leaderboard: a statistic of a row, and where it is shown."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.reliance import MapStatistic
from benchmark.leaderboard.load.score_layout import Kind
from benchmark.leaderboard.load.statistics import MeanScore
from benchmark.statistics.ratios import RatioStatistic


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """The same score with another choice of a detail that should not matter.

    Attributes:
        column: Name of the column with the other choice.
        change: Description of the change.
    """

    column: str
    change: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One statistic of a row, and where it is shown.

    Every column is in the CSV files, in the list of columns, in the page's table and on the cards. The flags select
    further outputs.

    Attributes:
        name: Name in the CSV file.
        title: Heading in the tables that people read.
        higher_is_better: Direction; None where neither end is better.
        definition: Definition in one sentence.
        statistic: Computes the statistic of a row; None where the row lacks the data.
        bounds: Minimum and maximum; no interval leaves them.
        redefined: Whether the metric had several definitions. The definition of the record is shown then.
        headline: Whether the main table shows it, with letters, and the page plots it against the accuracy.
        classification: Whether the table of the classification shows it.
        contrasted: Whether the page and the LaTeX table compare standard training with other regimes by it.
        by_regime: Whether it has a panel in the figure of regimes and in the slope charts.
        agreement: Whether its rank correlation with other scores is computed.
        alternatives: Columns that should rank the models as this one does.
        reference: Name of a column whose values are a reference for this one, if no baseline has any.
    """

    name: str
    title: str
    higher_is_better: bool | None
    definition: str
    statistic: Callable[[RowData], RatioStatistic | None]
    bounds: tuple[float, float] = (0.0, 1.0)
    redefined: bool = False
    headline: bool = False
    classification: bool = False
    contrasted: bool = False
    by_regime: bool = False
    agreement: bool = False
    alternatives: tuple[Alternative, ...] = ()
    reference: str = ""

    @property
    def heading(self) -> str:
        """Title with an arrow that points to better values."""
        arrow = {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]
        return self.title + arrow

    @property
    def metric(self) -> str:
        """Name of the metric whose scores it reads; empty where it reads predictions."""
        return self.statistic.metric if isinstance(self.statistic, MeanScore) else ""

    @property
    def classifies(self) -> bool:
        """Whether it measures the classification of unchanged images."""
        return self.classification and not self.name.endswith("under_attack")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Metric and levels of the scores that it reads; empty where it reads predictions."""
        return self.statistic.kinds if isinstance(self.statistic, MeanScore | MapStatistic) else ()
