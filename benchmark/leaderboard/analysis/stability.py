"""Stability of the order of the models under changes that should not matter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from benchmark.leaderboard.analysis.rank_correlation import central_interval, kendall_taus, num_draws_for
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate

NUM_HALVINGS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Stability:
    """Agreement of the orders of the models before and after a change that should not matter.

    Attributes:
        change: Description of the change.
        tau: Kendall's rank correlation of the two orders.
        low: Lower end of its 95 % interval, or of the central 95 % of the halvings.
        high: Upper end.
    """

    change: str
    tau: float
    low: float
    high: float


def compute_stabilities(leaderboards: Sequence[LeaderboardTable]) -> list[Stability]:
    """Computes the stability of the order by map F1 and by the columns with alternatives.

    The order by map F1 is compared between random halves of the groups, and between saliency methods. The order by a
    column is compared with that by each of its alternatives.
    """
    main = leaderboards[0]
    columns = {column.name: column for column in main.columns}
    column = columns[RANKED_BY]
    rows = [row for row in main.models if row.finite_estimate(column)]
    stabilities = [_split_half_stability(rows)] if len(rows) >= 3 else []
    for leaderboard in leaderboards[1:]:
        others = {row.label: row for row in leaderboard.models if row.finite_estimate(column)}
        pairs = [
            (row.estimates[RANKED_BY], others[row.label].estimates[RANKED_BY]) for row in rows if row.label in others
        ]
        stabilities += _change_stability(f"{RANKED_BY}: {main.method} against {leaderboard.method}", pairs)
    for base in main.columns:
        for alternative in base.alternatives:
            changed = columns.get(alternative.column)
            if changed is None:
                continue
            both = [row for row in main.models if row.finite_estimate(base) and row.finite_estimate(changed)]
            pairs = [(row.estimates[base.name], row.estimates[changed.name]) for row in both]
            stabilities += _change_stability(f"{base.name}: {alternative.change}", pairs)
    return stabilities


def _change_stability(change: str, pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Stability]:
    """Computes the agreement of the orders before and after a change; empty for fewer than three models."""
    if len(pairs) < 3:
        return []
    before, after = zip(*pairs, strict=True)
    tau = float(kendalltau([estimate.value for estimate in before], [estimate.value for estimate in after]).statistic)
    num_draws = num_draws_for(len(pairs))
    draws = (np.stack([estimate.draws[:num_draws] for estimate in side]) for side in (before, after))
    low, high = central_interval(kendall_taus(*draws))
    return [Stability(change=change, tau=tau, low=low, high=high)]


def _split_half_stability(rows: Sequence[Row]) -> Stability:
    """Computes the agreement of the orders in the two halves of the groups, over random halvings."""
    contributions = np.stack([row.estimates[RANKED_BY].error.contributions for row in rows]).astype(np.float64)
    expected = np.stack([row.estimates[RANKED_BY].error.expected for row in rows]).astype(np.float64)
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((NUM_HALVINGS, contributions.shape[1])), axis=1)
    half = (order < contributions.shape[1] // 2).astype(np.float64).T
    value = np.array([row.estimates[RANKED_BY].value for row in rows])[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (value * (contributions @ part) / (expected @ part) for part in (half, 1 - half))
    taus = kendall_taus(first, second)
    low, high = central_interval(taus)
    return Stability(
        change=f"one half of the groups against the other ({NUM_HALVINGS} random halvings)",
        tau=float(np.nanmean(taus)) if np.isfinite(taus).any() else np.nan,
        low=low,
        high=high,
    )
