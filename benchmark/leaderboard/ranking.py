"""The order of the models, with intervals of their ranks and letters for what is not told apart."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.leaderboard.columns import HEADLINES, RANKED_BY
from benchmark.leaderboard.table import Row
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.intervals import small_sample_factor
from benchmark.statistics.letters import letters
from benchmark.statistics.ranks import best_share, rank_intervals
from benchmark.statistics.tests import all_pairs


def ranked(models: Sequence[Row]) -> list[Row]:
    """Best F1 first, each with the interval of its rank; models without an F1 last."""

    def worth(row: Row) -> float:
        known = row.estimates.get(RANKED_BY)
        return known.value if known and np.isfinite(known.value) else -np.inf

    models = sorted(models, key=lambda row: (-worth(row), row.name, row.regime))
    apart = _letters(models)
    models = [replace(row, letters=known) for row, known in zip(models, apart, strict=True)]
    if not models or not np.isfinite(worth(models[-1])):
        return models
    draws = np.stack([_spread_draws(row.estimates[RANKED_BY]) for row in models])
    ranks = rank_intervals(draws, higher_is_better=True)
    best = best_share(draws, higher_is_better=True)
    return [
        replace(row, rank=(int(first), int(last)), best=float(share))
        for row, (first, last), share in zip(models, ranks, best, strict=True)
    ]


def _letters(models: Sequence[Row]) -> list[dict[str, str]]:
    """By headline column the groups of each model; letters follow the order of that column, a at its best end."""
    found: list[dict[str, str]] = [{} for _ in models]
    for column in HEADLINES:
        known = [place for place, row in enumerate(models) if row.known(column)]
        if known:
            sign = 1 if column.higher_is_better is False else -1
            known.sort(key=lambda place: sign * models[place].estimates[column.name].value)
            pairs = all_pairs([models[place].estimates[column.name] for place in known])
            for place, letter in zip(known, letters(pairs.apart), strict=True):
                found[place][column.name] = letter
    return found


def _spread_draws(known: Estimate) -> NDArray[np.float64]:
    """Draws as far from the value as its interval says, so that ranks are as unsure as intervals."""
    factor = small_sample_factor([known.spread])
    return known.value + (factor if np.isfinite(factor) else 1.0) * (known.draws.astype(np.float64) - known.value)
