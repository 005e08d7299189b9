"""Paired tests between rows: which of them differ significantly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.intervals import error_parts, intervals, small_sample_factor_from
from benchmark.statistics.rank_tests import rank_tests

ALPHA = 0.05
NEGLIGIBLE = 1e-9
"""Smaller differences of scores are rounding errors."""
MAX_PAIRS_PER_CHUNK = 256
"""Maximum number of pairs that are tested at once."""
CHUNK_SIZE = 2**21
"""Maximum number of differences of groups that are held at once: 16 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One row minus another one, on the same images.

    Attributes:
        value: Difference of the means.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value of equal means, by the paired test over groups (and seeds).
        wilcoxon: Two-sided p-value of Wilcoxon's signed-rank test over groups, which ignores the seeds.
        effect: Matched-pairs rank-biserial correlation: 1 if the first is higher in every group, -1 if lower.
        groups: Number of groups that count.
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
    """The paired tests of all pairs of rows.

    Attributes:
        p: P-values of the paired test (R, R); 1 on the diagonal, NaN where there is none.
        adjusted: P-values after Holm's correction over all pairs, (R, R).
    """

    p: NDArray[np.float64]
    adjusted: NDArray[np.float64]

    @property
    def significant(self) -> NDArray[np.bool_]:
        """Which pairs differ significantly, (R, R)."""
        return np.nan_to_num(self.adjusted, nan=1.0) < ALPHA

    @property
    def num_tested(self) -> int:
        """Number of pairs that have a test."""
        return int(np.isfinite(self.p[np.triu_indices(len(self.p), 1)]).sum())

    @property
    def num_significant(self) -> int:
        """Number of pairs that differ significantly."""
        return int(self.significant.sum()) // 2


def difference(one: Estimate, other: Estimate) -> Difference:
    """Tests the first row minus the second one. Swapped rows give the same result with all signs reversed.

    The test is Student's paired t-test over groups, on the linearized statistic. It accounts for unequal sizes of the
    groups and for the variance between seeds. With one seed, groups of equal size and a plain mean, it is exactly the
    paired t-test on the means of the groups.

    Reference:
        Cameron and Miller, Journal of Human Resources 50, 2015, sections II and VI; Kerby, The simple difference
        formula, Comprehensive Psychology 3, 2014 (rank-biserial correlation).
    """
    return differences([(one, other)])[0]


def differences(pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Difference]:
    """Computes :func:`difference` of many pairs, chunk by chunk."""
    num_groups = max((len(one.error.contributions) for one, _ in pairs), default=1)
    step = int(np.clip(CHUNK_SIZE // num_groups, 1, MAX_PAIRS_PER_CHUNK))
    return [result for start in range(0, len(pairs), step) for result in _differences(pairs[start : start + step])]


def _differences(pairs: Sequence[tuple[Estimate, Estimate]]) -> list[Difference]:
    values = [one.value - other.value for one, other in pairs]
    draws = [one.draws.astype(np.float64) - other.draws for one, other in pairs]
    parts = [error_parts((one.error, other.error)) for one, other in pairs]
    ends = intervals(values, draws, [small_sample_factor_from(*pair_parts) for pair_parts in parts])
    total = np.array([between + seeds for _, between, seeds, _ in parts])
    freedom = np.array([pair_freedom for *_, pair_freedom in parts])
    p = np.where([groups > 1 for groups, *_ in parts], _p_values(np.array(values), total, freedom), np.nan)
    by_group = [group_differences(one, other) for one, other in pairs]
    return [
        Difference(value=value, low=low, high=high, p=float(t_p), wilcoxon=rank_p, effect=effect, groups=len(groups))
        for value, (low, high), t_p, (rank_p, effect), groups in zip(
            values, ends, p, rank_tests(by_group), by_group, strict=True
        )
    ]


def group_differences(one: Estimate, other: Estimate) -> NDArray[np.float64]:
    """Computes what each group adds to the difference, times the number of groups, (G,), of the groups that count.

    For groups of equal size, these are the differences of the groups' means. Otherwise larger groups weigh more. Where
    the rows have different images (as in scores over correctly classified images), they are jackknife pseudo-values.
    """
    first, second = one.error, other.error
    counted = first.has_images | second.has_images
    num_groups = int(counted.sum())
    if first.key == second.key:
        result = num_groups * (first.contributions[counted].astype(np.float64) - second.contributions[counted])
    else:
        result = (one.value - other.value) + num_groups * (first.influence[counted] - second.influence[counted])
    return np.where(np.abs(result) < NEGLIGIBLE, 0.0, result)


def all_pairs(estimates: Sequence[Estimate | None]) -> Pairs:
    """Computes the paired test of :func:`difference` for every pair of rows, by one matrix product.

    Args:
        estimates: One column of a table, by row. Rows without a finite estimate have no test.
    """
    num_rows = len(estimates)
    p = np.full((num_rows, num_rows), np.nan)
    rows = [index for index, row in enumerate(estimates) if row is not None and np.isfinite(row.value)]
    finite = [estimate for estimate in estimates if estimate is not None and np.isfinite(estimate.value)]
    if len(finite) > 1:
        p[np.ix_(rows, rows)] = _pairwise_p_values(finite)
    np.fill_diagonal(p, 1.0)
    upper = np.triu_indices(num_rows, 1)
    adjusted = np.ones((num_rows, num_rows))
    adjusted[upper] = holm(p[upper])
    adjusted.T[upper] = adjusted[upper]
    return Pairs(p=p, adjusted=adjusted)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Applies Holm's correction to p-values. NaN means no test, stays NaN, and is not counted.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.

    Example:
        >>> holm(np.array([0.01, np.nan, 0.04, 0.03]))
        array([0.03,  nan, 0.06, 0.06])
    """
    adjusted = np.full(len(p), np.nan)
    indices = np.flatnonzero(np.isfinite(p))
    order = indices[np.argsort(p[indices], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _pairwise_p_values(estimates: Sequence[Estimate]) -> NDArray[np.float64]:
    """Computes p-values (R, R) from the variances of all differences: var(a - b) = var a + var b - 2 cov(a, b)."""
    errors = [estimate.error for estimate in estimates]
    values = np.array([estimate.value for estimate in estimates])
    influence = np.stack([error.influence for error in errors])
    groups = np.array([error.groups for error in errors])
    seeds = np.array([error.seed_variance for error in errors])
    seed_freedom = np.array([max(error.seeds - 1, 1) for error in errors])
    products = influence @ influence.T
    variances = np.diag(products)
    sizes = np.minimum(groups[:, None], groups)
    # Rounding may leave a tiny negative variance of a row minus itself.
    between = np.maximum(variances[:, None] + variances - products - products.T, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.where(sizes > 1, between * sizes / (sizes - 1), np.nan)
        total = between + seeds[:, None] + seeds
        seed_term = seeds**2 / seed_freedom
        # Satterthwaite's approximation, as in error_parts.
        freedom = total**2 / (between**2 / (sizes - 1) + seed_term[:, None] + seed_term)
    freedom = np.maximum(np.where(np.isfinite(freedom), freedom, sizes - 1), 1.0)
    return _p_values(values[:, None] - values, total, freedom)


def _p_values(
    value: NDArray[np.float64], variance: NDArray[np.float64], freedom: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Computes two-sided p-values of Student's t. Without any variance they are 1 for equal values, and 0 otherwise."""
    error = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    size = np.where(np.abs(value) < NEGLIGIBLE, 0.0, np.abs(value))
    return np.where(np.isfinite(variance), 2 * stdtr(freedom, -size / error), np.nan)
