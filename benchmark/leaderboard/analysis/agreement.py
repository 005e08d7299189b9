"""How far scores, methods and halves of the data agree on the order of the models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmark.leaderboard.columns import COLUMNS, Column
from benchmark.leaderboard.export.markdown import as_csv, data_name
from benchmark.leaderboard.statistics.bootstrap import DRAWS, LEVEL, Estimate
from benchmark.leaderboard.table import RANKED_BY, LeaderboardTable, Row

AGREEING = (
    *("fuzzy_f1", "fuzzy_iou", "top_mask_f1", "characteristic_f1", "sparsity", "faithfulness", "sharpness"),
    *("insertion", "deletion", "tv_ratio", "balanced_accuracy", "accuracy_under_attack"),
)
"""The columns that are set against each other; a score and its parts are not all of them."""
ALTERNATIVES = (
    ("faithfulness", "insertion_deletion_mean", "pixels removed to the mean color, not blurred"),
    ("faithfulness", "insertion_deletion_minimum", "pixels removed to the image's minimum, not blurred"),
    ("top_mask_f1", "f1_at_half", "thresholded at half the range, not at the mask's size"),
    ("top_mask_f1", "best_f1", "thresholded at the best place, not at the mask's size"),
)
"""Columns that differ in a choice that should not matter: the usual one, the other, and what is changed."""
CHUNK = 4_000_000
SIGNS = 100_000_000
"""So many differences between models are looked at, over all draws of the bootstrap: all draws of 316 models."""
FEWEST_DRAWS = 400
HALVINGS = 200
MOST_MODELS = 10
"""So many models, evenly spaced in the table, are enough for the mean over models within images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Kendall's rank correlation of two scores, both turned so that more is better.

    Attributes:
        one: The first score.
        other: The second one.
        tau: Over the models.
        low: Lower end of its 95 % interval, of the shared bootstrap.
        high: Upper end.
        within: Over the groups of images, mean over the models: do both call the same images well explained?
        models: How many models have both.
    """

    one: Column
    other: Column
    tau: float
    low: float
    high: float
    within: float
    models: int


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


def agreements(leaderboard: LeaderboardTable) -> list[Agreement]:
    """Every pair of :data:`AGREEING` that at least three models have."""
    columns = [column for column in COLUMNS if column.name in AGREEING]
    if len(leaderboard.models) < 3:
        return []
    drawn = _drawn_taus(leaderboard.models, columns)
    found = []
    for place, one in enumerate(columns):
        for there, other in enumerate(columns[place + 1 :], start=place + 1):
            rows = [row for row in leaderboard.models if _known(row, one) and _known(row, other)]
            if len(rows) >= 3:
                found.append(_agreement(one, other, rows, drawn[:, place, there]))
    return found


def stabilities(leaderboards: Sequence[LeaderboardTable]) -> list[Stability]:
    """The order by F1 in random halves of the groups and of each other saliency method, and :data:`ALTERNATIVES`."""
    main = leaderboards[0]
    columns = {column.name: column for column in main.columns}
    column = columns[RANKED_BY]
    rows = [row for row in main.models if _known(row, column)]
    found = [_halves(rows)] if len(rows) >= 3 else []
    for leaderboard in leaderboards[1:]:
        there = {row.label: row for row in leaderboard.models if _known(row, column)}
        pairs = [
            (row.estimates[RANKED_BY], there[row.label].estimates[RANKED_BY]) for row in rows if row.label in there
        ]
        found += _changed(f"{RANKED_BY}: {main.method} against {leaderboard.method}", pairs)
    for usual, changed, what in ALTERNATIVES:
        both = [columns[name] for name in (usual, changed) if name in columns]
        known = [row for row in main.models if len(both) == 2 and all(_known(row, each) for each in both)]
        found += _changed(f"{usual}: {what}", [(row.estimates[usual], row.estimates[changed]) for row in known])
    return found


def _changed(what: str, pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Stability]:
    """How the orders of the models agree before and after a change; nothing of fewer than three models."""
    if len(pairs) < 3:
        return []
    before, after = zip(*pairs, strict=True)
    tau = float(kendalltau([each.value for each in before], [each.value for each in after]).statistic)
    number = draws_for(len(pairs))
    low, high = _ends(taus(*(np.stack([each.draws[:number] for each in side]) for side in (before, after))))
    return [Stability(what=what, tau=tau, low=low, high=high)]


def taus(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Kendall's tau-b (B,) of two scores of models (M, B), draw by draw; NaN where one of them is constant."""
    number, draws = one.shape
    upper = np.triu_indices(number, 1)
    step = max(1, CHUNK // len(upper[0]))
    found = []
    for start in range(0, draws, step):
        first, second = (
            np.sign(v[upper[0], start : start + step] - v[upper[1], start : start + step]) for v in (one, other)
        )
        weight = np.sqrt((first != 0).sum(axis=0, dtype=np.float64) * (second != 0).sum(axis=0))
        total = (first * second).sum(axis=0, dtype=np.float64)
        found.append(np.divide(total, weight, out=np.full(weight.shape, np.nan), where=weight > 0))
    return np.concatenate(found)


def agreement_csv(
    leaderboards: Sequence[LeaderboardTable], found: Sequence[Sequence[Agreement]], stable: Sequence[Stability]
) -> str:
    """A line per method and pair of scores, then a line for each change that should not matter."""
    lines: list[list[object]] = [["data", "method", "one", "other", "tau", "low", "high", "within_images", "models"]]
    for leaderboard, of_board in zip(leaderboards, found, strict=True):
        for each in of_board:
            numbers = [_digits(number) for number in (each.tau, each.low, each.high, each.within)]
            start = [data_name(leaderboard), leaderboard.method, each.one.name, each.other.name]
            lines.append([*start, *numbers, each.models])
    main = leaderboards[0]
    for stability in stable:
        numbers = [_digits(number) for number in (stability.tau, stability.low, stability.high)]
        lines.append([data_name(main), main.method, RANKED_BY, stability.what, *numbers, "", len(main.models)])
    return as_csv(lines)


def _known(row: Row, column: Column) -> bool:
    return column.name in row.estimates and bool(np.isfinite(row.estimates[column.name].value))


def _drawn_taus(rows: Sequence[Row], columns: Sequence[Column]) -> NDArray[np.float64]:
    """Kendall's tau-b of every pair of columns in each draw, (B, C, C), over the models that have both.

    For each draw, the signs of all differences between models form a matrix (C, pairs of models): its product with
    itself has the sums for all pairs of columns. With very many models the first draws alone are taken.
    """
    upper = np.triu_indices(len(rows), 1)
    known = np.array([[_known(row, column) for row in rows] for column in columns])
    both = (known[:, upper[0]] & known[:, upper[1]]).astype(np.float32)
    number = draws_for(len(rows))
    absent = np.zeros(number, dtype=np.float32)
    drawn = [
        [row.estimates[column.name].draws[:number] if has else absent for row, has in zip(rows, of, strict=True)]
        for column, of in zip(columns, known, strict=True)
    ]
    found = np.full((number, len(columns), len(columns)), np.nan)
    with np.errstate(invalid="ignore"):
        for place, draw in enumerate(np.ascontiguousarray(np.moveaxis(np.array(drawn), 2, 0))):
            signs = np.sign(draw[:, upper[0]] - draw[:, upper[1]]) * both
            unknown = np.isnan(signs)
            signs[unknown] = 0
            differing = (signs != 0).astype(np.float32) @ both.T
            weight = np.sqrt(differing.astype(np.float64) * differing.T)
            np.divide(signs @ signs.T, weight, out=found[place], where=weight > 0)
            if unknown.any():
                spoiled = (unknown * both) @ both.T
                found[place][(spoiled > 0) | (spoiled.T > 0)] = np.nan
    return found


def draws_for(models: int) -> int:
    """How many draws of the bootstrap an interval of a rank correlation of so many models is taken from."""
    return int(np.clip(SIGNS // max(1, models * (models - 1) // 2), FEWEST_DRAWS, DRAWS))


def _agreement(one: Column, other: Column, rows: Sequence[Row], drawn: NDArray[np.float64]) -> Agreement:
    sign = -1.0 if (one.higher_is_better is False) != (other.higher_is_better is False) else 1.0
    values = [np.array([row.estimates[column.name].value for row in rows]) for column in (one, other)]
    low, high = _ends(sign * drawn)
    return Agreement(
        one=one,
        other=other,
        tau=sign * float(kendalltau(values[0], values[1]).statistic),
        low=low,
        high=high,
        within=sign * _within(one, other, rows),
        models=len(rows),
    )


def _within(one: Column, other: Column, rows: Sequence[Row]) -> float:
    """Mean over models of Kendall's tau over the groups of images that both scores tell of."""
    chosen = [rows[place] for place in np.unique(np.linspace(0, len(rows) - 1, MOST_MODELS).astype(int))]
    found = []
    for row in chosen:
        first, second = (_of_groups(row, column) for column in (one, other))
        both = np.isfinite(first) & np.isfinite(second)
        if both.sum() >= 3 and np.ptp(first[both]) and np.ptp(second[both]):
            found.append(float(kendalltau(first[both], second[both]).statistic))
    return float(np.mean(found)) if found else np.nan


def _of_groups(row: Row, column: Column) -> NDArray[np.float64]:
    """Score of each group relative to the whole (G,); NaN for groups without a say."""
    known = row.estimates[column.name]
    expected = known.spread.expected.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected != 0, known.spread.share / expected * np.sign(known.value), np.nan)


def _halves(rows: Sequence[Row]) -> Stability:
    """Orders of the models in two random halves of the groups, over and over."""
    share = np.stack([row.estimates[RANKED_BY].spread.share for row in rows]).astype(np.float64)
    expected = np.stack([row.estimates[RANKED_BY].spread.expected for row in rows]).astype(np.float64)
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((HALVINGS, share.shape[1])), axis=1)
    half = (order < share.shape[1] // 2).astype(np.float64).T
    value = np.array([row.estimates[RANKED_BY].value for row in rows])[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (value * (share @ part) / (expected @ part) for part in (half, 1 - half))
    found = taus(first, second)
    low, high = _ends(found)
    what = f"one half of the groups against the other ({HALVINGS} random halvings)"
    return Stability(
        what=what, tau=float(np.nanmean(found)) if np.isfinite(found).any() else np.nan, low=low, high=high
    )


def _ends(found: NDArray[np.float64]) -> tuple[float, float]:
    known = found[np.isfinite(found)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _digits(number: float) -> str:
    return f"{number + 0.0:.4f}" if np.isfinite(number) else ""
