"""The statistics that columns show: of map scores and of the classification."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.score_layout import Kind
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, OneHot, one_hot, positive_class
from benchmark.statistics.ratios import RatioStatistic, mean_of_finite

Statistic = Callable[[RowData], RatioStatistic | None]
"""Computes a statistic of a row; None where the row lacks the data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanScore:
    """Mean of a metric's scores, or (macro) the mean over characteristics of their means.

    Attributes:
        metric: Name of the metric.
        levels: Levels of the scores. The first one that exists is used.
        macro: Whether all characteristics have equal weight.
        correct_only: Whether to leave out images that are classified incorrectly.
    """

    metric: str
    levels: tuple[str, ...]
    macro: bool = False
    correct_only: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Metric and levels of the scores that it reads."""
        return tuple((self.metric, level) for level in self.levels)

    def __call__(self, row_data: RowData) -> RatioStatistic | None:
        """Computes the statistic of a row; None if it has no such scores."""
        sections = [s for level in self.levels if (s := row_data.scores.get((self.metric, level))) is not None]
        if not sections or (self.correct_only and row_data.predictions is None):
            return None
        section, num_images = sections[0], len(row_data.images)
        image_indices, values = section.image_indices, section.values
        finite = counted = np.isfinite(values)
        if self.correct_only and row_data.predictions is not None:
            correct = (row_data.predictions["label"] == row_data.predictions["predicted"]).to_numpy()
            counted = finite & correct[image_indices]
            # An undefined score of an image that is left out anyway is not reported.
            finite = finite | ~correct[image_indices]
        num_columns = int(section.characteristics.max(initial=0)) + 1 if self.macro else 1
        # A cell of the flattened matrix (images, columns) for each score.
        cells = image_indices.astype(np.int64) * num_columns + section.characteristics if self.macro else image_indices
        if not counted.all():
            cells, values = cells[counted], values[counted]
        amounts = np.bincount(cells, weights=values, minlength=num_images * num_columns)
        counts = np.bincount(cells, minlength=num_images * num_columns)
        return RatioStatistic(
            amounts=amounts.astype(np.float64, copy=False).reshape(num_images, num_columns),
            counts=counts.astype(np.float64).reshape(num_images, num_columns),
            undefined=int((~finite).sum()),
            partial=True,
        )


def mean_score(metric: str, level: str, *, macro: bool = False, correct_only: bool = False) -> MeanScore:
    """Returns the mean of a metric's scores of one level."""
    return MeanScore(metric=metric, levels=(level,), macro=macro, correct_only=correct_only)


def classification_score(
    count: Callable[[OneHot, OneHot], RatioStatistic], *, positive_only: bool = False
) -> Statistic:
    """Returns a statistic of the classification.

    Args:
        count: Computes it from one-hot truth and prediction.
        positive_only: Whether, of two classes, only the positive one counts.
    """

    def compute(row_data: RowData) -> RatioStatistic | None:
        frame = row_data.predictions
        if frame is None:
            return None
        labels, classes = frame["label"].to_numpy(), len(row_data.classes)
        truth, predicted = one_hot(labels, classes), one_hot(frame["predicted"].to_numpy(), classes)
        if positive_only and classes == 2:
            positive = positive_class(labels)
            truth, predicted = truth[:, [positive]], predicted[:, [positive]]
        return count(truth, predicted)

    return compute


def map_overlap_under_attack(row_data: RowData) -> RatioStatistic | None:
    """Computes how much of the map's highest pixels is left under the top-k attack with the largest budget."""
    frame = row_data.predictions
    names = [] if frame is None else [name for name in frame.columns if name.startswith(f"{MAP_OVERLAP_PREFIX}top-k-")]
    return None if frame is None or not names else mean_of_finite(frame[names[-1]].to_numpy(dtype=np.float64))
