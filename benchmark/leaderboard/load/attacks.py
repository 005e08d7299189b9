"""The statistics of the attacked images that columns show."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.leaderboard.load.predictions import RowData
from benchmark.scoring.classification import (
    ROBUST_PREFIX,
    VANISHED_PREFIX,
    OneHot,
    attacks_by_budget,
    one_hot,
    worst_of,
)
from benchmark.statistics.ratios import RatioStatistic, mean_of_finite


@dataclass(frozen=True, kw_only=True, slots=True)
class UnderAttack:
    """A statistic of the attacked images: an image is robust if it is robust to all attacks of a budget.

    Attributes:
        compute: Computes it from robustness (N,), NaN for images that are not attacked, and one-hot true classes.
        eps: The budget; None is the middle one.
    """

    compute: Callable[[NDArray[np.float64], OneHot], RatioStatistic]
    eps: float | None = None

    def __call__(self, row_data: RowData) -> RatioStatistic | None:
        """Computes the statistic of a row; None without attacks of that budget."""
        frame = row_data.predictions
        if frame is None or (attacks := _attacks(frame, self.eps)) is None:
            return None
        return self.compute(worst_of(frame, attacks), one_hot(frame["label"].to_numpy(), len(row_data.classes)))


def vanishing_gradients(row_data: RowData) -> RatioStatistic | None:
    """Computes the fraction of the correct and attacked images at which the gradients of the losses vanish."""
    frame = row_data.predictions
    if frame is None:
        return None
    names = [f"{VANISHED_PREFIX}{name.removeprefix(ROBUST_PREFIX)}" for name in _attacks(frame) or ()]
    vanished = [name for name in names if name in frame]
    if not vanished:
        return None
    return mean_of_finite(frame[vanished].to_numpy(dtype=np.float64).max(axis=1), proportion=True)


def _attacks(predictions: pd.DataFrame, eps: float | None = None) -> list[str] | None:
    """Returns the attacks of a budget, or of the middle one; None without any."""
    by_budget = attacks_by_budget(predictions.columns)
    if eps is not None:
        return next((names for budget, names in by_budget.items() if float(budget.partition("-")[2]) == eps), None)
    if by_budget:
        return list(by_budget.values())[len(by_budget) // 2]
    # The first schema of records had one attack, without a name.
    return ["withstood"] if "withstood" in predictions else None
