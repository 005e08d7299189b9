"""How the order of the models holds when something that should not matter is changed."""

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
    """How the order of the models holds when something that should not matter is changed.

    Attributes:
        what: What is changed.
        tau: Kendall's rank correlation of the two orders.
        low: Lower end of its 95 % interval, or of the central 95 % of the halvings.
        high: Upper end.
    """

    what: str
    tau: float
    low: float
    high: float


def compute_stabilities(leaderboards: Sequence[LeaderboardTable]) -> list[Stability]:
    """The order by F1 in random halves of the groups and of each other method, and by alternatives of a column."""
    main = leaderboards[0]
    columns = {column.name: column for column in main.columns}
    column = columns[RANKED_BY]
    rows = [row for row in main.models if row.finite_estimate(column)]
    found = [_halves(rows)] if len(rows) >= 3 else []
    for leaderboard in leaderboards[1:]:
        there = {row.label: row for row in leaderboard.models if row.finite_estimate(column)}
        pairs = [
            (row.estimates[RANKED_BY], there[row.label].estimates[RANKED_BY]) for row in rows if row.label in there
        ]
        found += _changed(f"{RANKED_BY}: {main.method} against {leaderboard.method}", pairs)
    for usual in main.columns:
        for other in usual.alternatives:
            changed = columns.get(other.column)
            known = [row for row in main.models if changed and row.finite_estimate(usual) and row.finite_estimate(changed)]
            estimates = [(row.estimates[usual.name], row.estimates[other.column]) for row in known]
            found += _changed(f"{usual.name}: {other.change}", estimates)
    return found


def _changed(what: str, pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Stability]:
    """How the orders of the models agree before and after a change; nothing of fewer than three models."""
    if len(pairs) < 3:
        return []
    before, after = zip(*pairs, strict=True)
    tau = float(kendalltau([each.value for each in before], [each.value for each in after]).statistic)
    number = num_draws_for(len(pairs))
    low, high = central_interval(kendall_taus(*(np.stack([each.draws[:number] for each in side]) for side in (before, after))))
    return [Stability(what=what, tau=tau, low=low, high=high)]


def _halves(rows: Sequence[Row]) -> Stability:
    """Orders of the models in two random halves of the groups, over and over."""
    share = np.stack([row.estimates[RANKED_BY].error.contributions for row in rows]).astype(np.float64)
    expected = np.stack([row.estimates[RANKED_BY].error.expected for row in rows]).astype(np.float64)
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((NUM_HALVINGS, share.shape[1])), axis=1)
    half = (order < share.shape[1] // 2).astype(np.float64).T
    value = np.array([row.estimates[RANKED_BY].value for row in rows])[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (value * (share @ part) / (expected @ part) for part in (half, 1 - half))
    found = kendall_taus(first, second)
    low, high = central_interval(found)
    what = f"one half of the groups against the other ({NUM_HALVINGS} random halvings)"
    return Stability(
        what=what, tau=float(np.nanmean(found)) if np.isfinite(found).any() else np.nan, low=low, high=high
    )
