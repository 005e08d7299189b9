"""The order of the models, with their ranks, intervals of these, and letters of significance groups."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.leaderboard.analysis.chance import is_above
from benchmark.leaderboard.columns import HEADLINES, RANKED_BY
from benchmark.leaderboard.table import Row
from benchmark.statistics.common_images import restricted
from benchmark.statistics.letters import letters
from benchmark.statistics.ranks import rank_intervals, shared_ranks
from benchmark.statistics.tests import all_pairs
from benchmark.statistics.trainings import pool_trainings

MAX_LETTERED_MODELS = 150
"""Maximum number of models with letters. Of more models, each would have dozens. Their ranks still have intervals."""
MIN_COMMON_FRACTION = 0.5
"""A model with scores of fewer of the images does not limit the common images of all models."""


def ranked(models: Sequence[Row], chance: float) -> list[Row]:
    """Sorts models by map F1, best first, and adds ranks and letters.

    Models without a map F1, and models whose classification does not beat chance, have no rank and come last. They are
    in no comparison. More than :data:`MAX_LETTERED_MODELS` models have no letters.

    Args:
        models: The rows.
        chance: Balanced accuracy of guessing.
    """
    models = [replace(row, rank=None, rank_interval=None, letters={}) for row in _with_trainings(models)]

    def score(row: Row) -> float:
        estimate = row.estimates.get(RANKED_BY)
        return estimate.value if estimate and np.isfinite(estimate.value) else -np.inf

    models = _with_common(sorted(models, key=lambda row: (-score(row), row.name, row.regime)))
    competing = [row for row in models if is_above(row, chance)]
    by_column = _letters_by_column(competing if len(competing) <= MAX_LETTERED_MODELS else [])
    if by_column:
        competing = [replace(row, letters=row_letters) for row, row_letters in zip(competing, by_column, strict=True)]
    scored = _with_ranks([row for row in competing if np.isfinite(score(row))])
    others = [row for row in competing if not np.isfinite(score(row))]
    return [*scored, *others, *(row for row in models if not is_above(row, chance))]


def _with_ranks(models: Sequence[Row]) -> list[Row]:
    """Adds ranks, and their intervals from the tests of all pairs."""
    if not models:
        return []
    estimates = [row.estimates[RANKED_BY] for row in models]
    ranks = shared_ranks([estimate.value for estimate in estimates])
    intervals = rank_intervals(all_pairs(estimates).higher).tolist()
    known = all(estimate.error.knows_trainings for estimate in estimates)
    return [
        replace(row, rank=rank, rank_interval=(ends[0], ends[1]) if known else None)
        for row, rank, ends in zip(models, ranks, intervals, strict=True)
    ]


def _with_trainings(models: Sequence[Row]) -> list[Row]:
    """Gives every estimate the variance between trainings, pooled over the models of the table."""
    estimates = [dict(row.estimates) for row in models]
    for name in dict.fromkeys(name for row in models for name in row.estimates):
        having = [columns for columns in estimates if name in columns]
        pooled = pool_trainings([columns[name] for columns in having])
        for columns, estimate in zip(having, pooled, strict=True):
            columns[name] = estimate
    return [replace(row, estimates=columns) for row, columns in zip(models, estimates, strict=True)]


def _with_common(models: Sequence[Row]) -> list[Row]:
    """Adds the means over common images, of headline columns that some images of some models lack."""
    common: list[dict[str, tuple[float, int]]] = [{} for _ in models]
    for column in HEADLINES:
        having = {
            index: (estimate, estimate.by_image)
            for index, row in enumerate(models)
            if (estimate := row.finite_estimate(column)) and estimate.by_image is not None
        }
        if len({estimate.error.key for estimate, _ in having.values()}) < 2:
            continue
        shared = _common_counts([scores.counts for _, scores in having.values()])
        for index, (estimate, scores) in having.items():
            on_shared = restricted(estimate, np.where(scores.counts == shared, shared, 0))
            common[index][column.name] = (on_shared.value, on_shared.images)
    return [replace(row, common=values) for row, values in zip(models, common, strict=True)]


def _common_counts(counts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Returns the counts (N, C) of the images that all models have, of those with scores of most images."""
    sizes = np.array([np.count_nonzero(part) for part in counts])
    whole = np.max(counts, axis=0)
    limiting = [part for part, size in zip(counts, sizes, strict=True) if size >= MIN_COMMON_FRACTION * sizes.max()]
    return np.where(np.all(np.stack(limiting) == whole, axis=0), whole, 0).astype(np.float32)


def _letters_by_column(models: Sequence[Row]) -> list[dict[str, str]]:
    """Computes the significance groups of each model by headline column. Letter a is at the best end of the column.

    Models whose variance between trainings is unknown have no letter.
    """
    letters_by_column: list[dict[str, str]] = [{} for _ in models]
    for column in HEADLINES:
        indices = [
            index
            for index, row in enumerate(models)
            if (estimate := row.finite_estimate(column)) and estimate.error.knows_trainings
        ]
        if len(indices) > 1:
            sign = 1 if column.higher_is_better is False else -1
            indices.sort(key=lambda index: sign * models[index].estimates[column.name].value)
            pairs = all_pairs([models[index].estimates[column.name] for index in indices])
            for index, letter in zip(indices, letters(pairs.significant), strict=True):
                letters_by_column[index][column.name] = letter
    return letters_by_column
