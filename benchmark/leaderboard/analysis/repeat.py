"""Whether a repeated training is the same: to the byte, as near as repeats are, or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import ACCURACY, HEADLINES, RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.tests import ALPHA
from benchmark.storage.parquet import round_fractions
from benchmark.storage.results import sidecar_file

MEASURED_SPREADS = {
    RANKED_BY: 0.0095,
    "sparsity": 0.030,
    "faithfulness": 0.015,
    "sharpness": 0.008,
    ACCURACY: 0.034,
}
"""Standard deviation of a training, by column, measured on another processor: see `docs/numerics.md`."""
MEASURED_TRAININGS = 22
"""Number of networks that they were measured with."""
TABLES = ("scores.parquet", "predictions.parquet")
"""Files of a record that hold all that the tables are computed from."""

Verdict = Literal["equal to the byte", "within what repeats spread", "not within what repeats spread"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatedScore:
    """A score of both trainings.

    Attributes:
        column: The score.
        published: Its published value, of the same seed.
        repeated: Its value in the repeat.
        spread: Standard deviation of a training.
        measured: Whether the table lacks the spread, so that it is one of :data:`MEASURED_SPREADS`.
        limit: Largest difference of two trainings that chance explains, at 5 % over all scores.
    """

    column: Column
    published: float
    repeated: float
    spread: float
    measured: bool
    limit: float

    @property
    def is_within(self) -> bool:
        """Whether the difference is one that repeats have."""
        return abs(self.repeated - self.published) <= self.limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """A published training and its repeat.

    Attributes:
        equal: Whether all scores and predictions are the same bytes, to 24 bits.
        scores: The scores that both have and whose spread is known.
    """

    equal: bool
    scores: tuple[RepeatedScore, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict over all scores."""
        if self.equal:
            return "equal to the byte"
        within = all(score.is_within for score in self.scores)
        return "within what repeats spread" if within else "not within what repeats spread"


def are_equal(published: Path, repeated: Path) -> bool:
    """Returns whether scores and predictions of two records are the same bytes, to the 24 bits that files have.

    How they are compressed does not count, nor do the further bits of older files.

    Args:
        published: The file of a record.
        repeated: That of the other.
    """
    return all(_hold_equal(sidecar_file(published, name), sidecar_file(repeated, name)) for name in TABLES)


def _hold_equal(published: Path, repeated: Path) -> bool:
    one, other = (round_fractions(pd.read_parquet(path)) for path in (published, repeated))
    return list(one) == list(other) and all(_are_same(one[name].to_numpy(), other[name].to_numpy()) for name in one)


def _are_same(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    if one.dtype != other.dtype:
        return False
    # By their bytes, NaN equals NaN, and 0 does not equal -0.
    return np.array_equal(one, other) if one.dtype == object else one.tobytes() == other.tobytes()


def judge_repeat(table: LeaderboardTable, label: str, published: Row, repeated: Row, *, equal: bool) -> Repeat:
    """Compares a published training with its repeat, score by score.

    The difference of two trainings has twice the variance of one. The variance is that of the table, pooled over its
    models, with its degrees of freedom. Tables of single trainings have none: the measured one of
    :data:`MEASURED_SPREADS` replaces it. Limits are Student's, with Bonferroni's correction over the scores. The test
    images are the same, so they add nothing to the difference.

    Args:
        table: The published table.
        label: The row in it, such as `xception/standard`.
        published: The training alone.
        repeated: Its repeat.
        equal: Whether both hold the same bytes, see :func:`are_equal`.
    """
    row = next(row for row in table.models if row.label == label)
    columns = (*HEADLINES, table.column(ACCURACY))
    both = [c for c in columns if published.finite_estimate(c) and repeated.finite_estimate(c)]
    spreads = {column.name: known for column in both if (known := _spread(row, column.name))}
    level = ALPHA / max(len(spreads), 1)
    scores = []
    for column in both:
        if column.name not in spreads:
            continue
        spread, freedom, measured = spreads[column.name]
        scores.append(
            RepeatedScore(
                column=column,
                published=published.estimates[column.name].value,
                repeated=repeated.estimates[column.name].value,
                spread=spread,
                measured=measured,
                limit=float(t.isf(level / 2, freedom)) * spread * np.sqrt(2),
            )
        )
    return Repeat(equal=equal, scores=tuple(scores))


def _spread(row: Row, name: str) -> tuple[float, float, bool] | None:
    """Returns the standard deviation of a training, its degrees of freedom, and whether it was measured elsewhere."""
    error = row.estimates[name].error
    if error.knows_trainings and error.training_variance > 0:
        return float(np.sqrt(error.training_variance * error.seeds)), error.training_freedom, False
    measured: Mapping[str, float] = MEASURED_SPREADS
    return (measured[name], float(MEASURED_TRAININGS), True) if name in measured else None
