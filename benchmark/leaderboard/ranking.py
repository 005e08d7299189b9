"""The order of the models, with intervals of their ranks and letters of significance groups."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.leaderboard.columns import HEADLINES, RANKED_BY
from benchmark.leaderboard.table import Row
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.intervals import small_sample_factor
from benchmark.statistics.letters import letters
from benchmark.statistics.ranks import best_fractions, rank_intervals
from benchmark.statistics.tests import all_pairs


def ranked(models: Sequence[Row]) -> list[Row]:
    """Sorts models by map F1, best first, and adds letters and intervals of ranks.

    Models without a map F1 are last. Where there is any, no model has an interval.
    """

    def score(row: Row) -> float:
        estimate = row.estimates.get(RANKED_BY)
        return estimate.value if estimate and np.isfinite(estimate.value) else -np.inf

    models = sorted(models, key=lambda row: (-score(row), row.name, row.regime))
    models = [
        replace(row, letters=by_column) for row, by_column in zip(models, _letters_by_column(models), strict=True)
    ]
    if not models or not np.isfinite(score(models[-1])):
        return models
    draws = np.stack([_scaled_draws(row.estimates[RANKED_BY]) for row in models])
    ranks = rank_intervals(draws, higher_is_better=True)
    best = best_fractions(draws, higher_is_better=True)
    return [
        replace(row, rank=(int(first), int(last)), best=float(fraction))
        for row, (first, last), fraction in zip(models, ranks, best, strict=True)
    ]


def _letters_by_column(models: Sequence[Row]) -> list[dict[str, str]]:
    """Computes the significance groups of each model by headline column. Letter a is at the best end of the column."""
    letters_by_column: list[dict[str, str]] = [{} for _ in models]
    for column in HEADLINES:
        indices = [index for index, row in enumerate(models) if row.finite_estimate(column)]
        if indices:
            sign = 1 if column.higher_is_better is False else -1
            indices.sort(key=lambda index: sign * models[index].estimates[column.name].value)
            pairs = all_pairs([models[index].estimates[column.name] for index in indices])
            for index, letter in zip(indices, letters(pairs.significant), strict=True):
                letters_by_column[index][column.name] = letter
    return letters_by_column


def _scaled_draws(estimate: Estimate) -> NDArray[np.float64]:
    """Scales the deviations of the draws by the small-sample factor, so that ranks are as uncertain as intervals."""
    factor = small_sample_factor([estimate.error])
    deviations = estimate.draws.astype(np.float64) - estimate.value
    return estimate.value + (factor if np.isfinite(factor) else 1.0) * deviations
