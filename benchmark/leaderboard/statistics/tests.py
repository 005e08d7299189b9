"""Paired tests between rows: which of them can be told apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr
from scipy.stats import rankdata, wilcoxon

from benchmark.leaderboard.statistics.bootstrap import Estimate, error_parts, intervals, small_sample_factor_from

ALPHA = 0.05
NEGLIGIBLE = 1e-9
"""Differences of scores below it are rounding."""
EXACT = 50
"""Up to so many groups scipy chooses Wilcoxon's null distribution by what else it is given."""
TOGETHER = 256
"""So many pairs are tested at once, or as many as have :data:`NUMBERS` differences of groups: 16 MB."""
NUMBERS = 2**21


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One row less another one, on the same images.

    Attributes:
        value: Difference of the means.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value of no difference of the means, by the paired test over groups (and seeds).
        wilcoxon: The same by Wilcoxon's signed-rank test over groups, which does not see the seeds.
        effect: Matched-pairs rank-biserial correlation: 1 if the first is higher in every group, -1 if lower.
        groups: Number of groups that have a say.
    """

    value: float
    low: float
    high: float
    p: float
    wilcoxon: float
    effect: float
    groups: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """All pairs of a number of rows.

    Attributes:
        p: P-values of the paired test (R, R); 1 on the diagonal, NaN where there is none.
        adjusted: The same after Holm, over all pairs.
    """

    p: NDArray[np.float64]
    adjusted: NDArray[np.float64]

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Which pairs are told apart, (R, R)."""
        return np.nan_to_num(self.adjusted, nan=1.0) < ALPHA

    @property
    def number(self) -> int:
        """How many pairs have a test."""
        return int(np.isfinite(self.p[np.triu_indices(len(self.p), 1)]).sum())

    @property
    def told_apart(self) -> int:
        """How many pairs are told apart."""
        return int(self.apart.sum()) // 2


def difference(one: Estimate, other: Estimate) -> Difference:
    """The first row less the second one; swapped rows give the same with every sign turned.

    The test is Student's paired t-test over groups, on the linearized statistic, with the groups' unequal sizes and
    the variance between seeds accounted for. With one seed, groups of equal size and a plain mean it is exactly the
    paired t-test on the means of the groups.

    Reference:
        Cameron and Miller, Journal of Human Resources 50, 2015, sections II and VI; Kerby, The simple difference
        formula, Comprehensive Psychology 3, 2014 (rank-biserial correlation).
    """
    return differences([(one, other)])[0]


def differences(pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Difference]:
    """:func:`difference` of many pairs; what can be, is sorted and ranked together."""
    groups = max((len(one.spread.share) for one, _ in pairs), default=1)
    step = int(np.clip(NUMBERS // groups, 1, TOGETHER))
    return [found for start in range(0, len(pairs), step) for found in _differences(pairs[start : start + step])]


def _differences(pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Difference]:
    values = [one.value - other.value for one, other in pairs]
    draws = [one.draws.astype(np.float64) - other.draws for one, other in pairs]
    parts = [error_parts((one.spread, other.spread)) for one, other in pairs]
    ends = intervals(values, draws, [small_sample_factor_from(*each) for each in parts])
    total, freedom = (
        np.array([between + seeds for _, between, seeds, _ in parts]),
        np.array([each for *_, each in parts]),
    )
    p = np.where([groups > 1 for groups, *_ in parts], _p_values(np.array(values), total, freedom), np.nan)
    by_group = [group_differences(one, other) for one, other in pairs]
    return [
        Difference(value=value, low=low, high=high, p=float(each), wilcoxon=signed, effect=effect, groups=len(groups))
        for value, (low, high), each, (signed, effect), groups in zip(
            values, ends, p, rank_tests(by_group), by_group, strict=True
        )
    ]


def group_differences(one: Estimate, other: Estimate) -> NDArray[np.float64]:
    """What each group adds to the difference, times the number of groups, (G,), of the groups that have a say.

    Over groups of equal size, differences of the groups' means; otherwise larger groups weigh more. Where the rows
    have different images (as in scores over right diagnoses alone), jackknife pseudo-values.
    """
    first, second = one.spread, other.spread
    known = first.said | second.said
    number = int(known.sum())
    if first.key == second.key:
        found = number * (first.share[known].astype(np.float64) - second.share[known])
    else:
        found = (one.value - other.value) + number * (first.influence[known] - second.influence[known])
    return np.where(np.abs(found) < NEGLIGIBLE, 0.0, found)


def signed_ranks(by_group: Sequence[NDArray[np.float64]]) -> list[float]:
    """P-values of Wilcoxon's signed-rank test; 1 where no group differs, NaN for fewer than two groups."""
    return [p for p, _ in rank_tests(by_group)]


def rank_tests(by_group: Sequence[NDArray[np.float64]]) -> list[tuple[float, float]]:
    """P-value of :func:`signed_ranks` and :func:`rank_biserial` of each pair; many groups are ranked once for both."""
    found = [(np.nan if len(each) < 2 else 1.0, 0.0) for each in by_group]
    for number, places in _by_length(by_group, [bool(each.any()) for each in by_group]).items():
        if number > EXACT:
            tests = _of_many_groups(np.stack([by_group[place] for place in places]))
        else:
            # The choice of scipy for few groups hangs on zeros and ties, of which one row must not decide for another.
            p = [float(wilcoxon(by_group[place]).pvalue) if number > 1 else np.nan for place in places]
            tests = list(zip(p, rank_biserials([by_group[place] for place in places]), strict=True))
        for place, test in zip(places, tests, strict=True):
            found[place] = test
    return found


def _of_many_groups(by_group: NDArray[np.float64]) -> list[tuple[float, float]]:
    """:func:`rank_tests` of differences (P, G) by the normal approximation, which is what scipy takes for so many."""
    known = wilcoxon(by_group, axis=1, alternative="greater", method="asymptotic")
    number = np.count_nonzero(by_group, axis=1)
    ranks = number * (number + 1) / 2
    p, effects = 2 * ndtr(-np.abs(known.zstatistic)), (2 * known.statistic - ranks) / ranks
    return list(zip(p.tolist(), effects.tolist(), strict=True))


def rank_biserial(by_group: NDArray[np.float64]) -> float:
    """Matched-pairs rank-biserial correlation, in [-1, 1]; 0 where no group differs.

    Example:
        >>> rank_biserial(np.array([3.0, 1.0, -2.0, 0.0]))
        0.3333333333333333
    """
    return rank_biserials([by_group])[0]


def rank_biserials(by_group: Sequence[NDArray[np.float64]]) -> list[float]:
    """:func:`rank_biserial` of many pairs."""
    found = [0.0] * len(by_group)
    for places in _by_length(by_group, [bool(each.any()) for each in by_group]).values():
        each = np.stack([by_group[place] for place in places])
        # Groups that do not differ have the lowest ranks, and no say.
        ranks = rankdata(np.abs(each), axis=1) - (each == 0).sum(axis=1, keepdims=True)
        above, below = ((ranks * sign).sum(axis=1) for sign in (each > 0, each < 0))
        for place, effect in zip(places, (above - below) / (above + below), strict=True):
            found[place] = float(effect)
    return found


def _by_length(by_group: Sequence[NDArray[np.float64]], wanted: Sequence[bool]) -> dict[int, list[int]]:
    """Places of those that are wanted, by their number of groups."""
    found: dict[int, list[int]] = {}
    for place, (each, known) in enumerate(zip(by_group, wanted, strict=True)):
        if known:
            found.setdefault(len(each), []).append(place)
    return found


def all_pairs(estimates: Sequence[Estimate | None]) -> Pairs:
    """The paired test of :func:`difference` for every pair of rows, as one matrix product; rows without one fail none.

    Args:
        estimates: One column of a table, by row.
    """
    number = len(estimates)
    p = np.full((number, number), np.nan)
    rows = [place for place, known in enumerate(estimates) if known is not None and np.isfinite(known.value)]
    known = [estimate for estimate in estimates if estimate is not None and np.isfinite(estimate.value)]
    if len(known) > 1:
        p[np.ix_(rows, rows)] = _matrix(known)
    np.fill_diagonal(p, 1.0)
    upper = np.triu_indices(number, 1)
    adjusted = np.ones((number, number))
    adjusted[upper] = holm(p[upper])
    adjusted.T[upper] = adjusted[upper]
    return Pairs(p=p, adjusted=adjusted)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values after Holm's correction; NaN is no test and counts for none.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.

    Example:
        >>> holm(np.array([0.01, np.nan, 0.04, 0.03]))
        array([0.03,  nan, 0.06, 0.06])
    """
    found = np.full(len(p), np.nan)
    places = np.flatnonzero(np.isfinite(p))
    order = places[np.argsort(p[places], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return found


def _matrix(estimates: Sequence[Estimate]) -> NDArray[np.float64]:
    """P-values (R, R) by the variances of all differences: of a - b it is var a + var b - 2 cov."""
    spreads = [estimate.spread for estimate in estimates]
    values = np.array([estimate.value for estimate in estimates])
    influence = np.stack([spread.influence for spread in spreads])
    groups = np.array([spread.groups for spread in spreads])
    seeds = np.array([spread.seed_variance for spread in spreads])
    seed_freedom = np.array([max(spread.seeds - 1, 1) for spread in spreads])
    products = influence @ influence.T
    own = np.diag(products)
    sizes = np.minimum(groups[:, None], groups)
    between = np.maximum(own[:, None] + own - products - products.T, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.where(sizes > 1, between * sizes / (sizes - 1), np.nan)
        total = between + seeds[:, None] + seeds
        of_seeds = seeds**2 / seed_freedom
        freedom = total**2 / (between**2 / (sizes - 1) + of_seeds[:, None] + of_seeds)
    freedom = np.maximum(np.where(np.isfinite(freedom), freedom, sizes - 1), 1.0)
    return _p_values(values[:, None] - values, total, freedom)


def _p_values(
    value: NDArray[np.float64], variance: NDArray[np.float64], freedom: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Two-sided; where nothing varies, 1 for no difference and 0 for any."""
    error = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    size = np.where(np.abs(value) < NEGLIGIBLE, 0.0, np.abs(value))
    return np.where(np.isfinite(variance), 2 * stdtr(freedom, -size / error), np.nan)
