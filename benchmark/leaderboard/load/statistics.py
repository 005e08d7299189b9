"""The statistics that columns show: of scores, of the diagnosis, of what attacks leave."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.leaderboard.load.predictions import RowData
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, ROBUST_PREFIX, OneHot, one_hot, positive_class
from benchmark.statistics.ratios import RatioStatistic, mean_of_known

Statistic = Callable[[RowData], RatioStatistic | None]
"""A statistic of a row, None where the row has no such thing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanScore:
    """Mean of a metric's scores, or (macro) the mean over characteristics of their means.

    Attributes:
        metric: Name of the metric.
        levels: Levels of the scores: the first one that there is.
        macro: Whether characteristics count alike.
        right_only: Whether images that are diagnosed wrongly are left out.
    """

    metric: str
    levels: tuple[str, ...]
    macro: bool = False
    right_only: bool = False

    def __call__(self, evidence: RowData) -> RatioStatistic | None:
        """The statistic of a row, None where it has no such scores."""
        present = [known for level in self.levels if (known := evidence.scores.get((self.metric, level))) is not None]
        if not present or (self.right_only and evidence.predictions is None):
            return None
        known, number = present[0], len(evidence.images)
        finite = counted = np.isfinite(known.values)
        if self.right_only and evidence.predictions is not None:
            right = (evidence.predictions["label"] == evidence.predictions["predicted"]).to_numpy()
            counted = finite & right[known.places]
            finite = finite | ~right[known.places]
        kinds = int(known.characteristics.max(initial=0)) + 1 if self.macro else 1
        cells = known.places.astype(np.int64) * kinds + known.characteristics if self.macro else known.places
        values = known.values
        if not counted.all():
            cells, values = cells[counted], values[counted]
        amounts = np.bincount(cells, weights=values, minlength=number * kinds)
        counts = np.bincount(cells, minlength=number * kinds)
        return RatioStatistic(
            amounts=amounts.astype(np.float64, copy=False).reshape(number, kinds),
            counts=counts.astype(np.float64).reshape(number, kinds),
            undefined=int((~finite).sum()),
        )


def mean_score(metric: str, level: str, *, macro: bool = False, right_only: bool = False) -> MeanScore:
    """Mean of a metric's scores of one level."""
    return MeanScore(metric=metric, levels=(level,), macro=macro, right_only=right_only)


def of_diagnosis(count: Callable[[OneHot, OneHot], RatioStatistic], *, positive_only: bool = False) -> Statistic:
    """A statistic of the diagnosis.

    Args:
        count: Makes it from truth and prediction.
        positive_only: Whether, of two classes, the positive one alone counts.
    """

    def of(evidence: RowData) -> RatioStatistic | None:
        frame = evidence.predictions
        if frame is None:
            return None
        labels, classes = frame["label"].to_numpy(), len(evidence.classes)
        truth, predicted = one_hot(labels, classes), one_hot(frame["predicted"].to_numpy(), classes)
        if positive_only and classes == 2:
            positive = positive_class(labels)
            truth, predicted = truth[:, [positive]], predicted[:, [positive]]
        return count(truth, predicted)

    return of


def withstood(evidence: RowData) -> RatioStatistic | None:
    """Share diagnosed rightly under PGD of the middle budget."""
    if evidence.predictions is None:
        return None
    frame = evidence.predictions
    of_pgd = sorted(
        (name for name in frame.columns if name.startswith(f"{ROBUST_PREFIX}pgd-")),
        key=lambda name: float(name.split("-")[-1]),
    )
    # The first schema of records had one attack, without a name.
    name = of_pgd[len(of_pgd) // 2] if of_pgd else "withstood"
    if name not in frame:
        return None
    return mean_of_known(frame[name].to_numpy(dtype=np.float64))


def map_kept(evidence: RowData) -> RatioStatistic | None:
    """Under the attack of the largest budget that moves the map off its highest pixels."""
    frame = evidence.predictions
    names = [] if frame is None else [name for name in frame.columns if name.startswith(f"{MAP_OVERLAP_PREFIX}top-k-")]
    return None if frame is None or not names else mean_of_known(frame[names[-1]].to_numpy(dtype=np.float64))
