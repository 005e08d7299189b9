"""Paired tests between rows: which of them differ significantly, over new images and new trainings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.combined import half_width, two_sided_p
from benchmark.statistics.common_images import on_common_images
from benchmark.statistics.rank_tests import rank_biserials
from benchmark.statistics.ranks import NEGLIGIBLE, transitive_closure

ALPHA = 0.05
MAX_PAIRS_PER_CHUNK = 256
"""Maximum number of pairs that are tested at once."""
MAX_EXACT_ROWS = 150
"""Maximum number of rows whose pairs all get a p-value. Of more rows, only pairs near the threshold get one."""
NUM_BOUNDS = 4
"""How often the number of significant pairs is bounded before p-values are computed. Each bound tightens the next."""
CHUNK_SIZE = 2**21
"""Maximum number of differences of groups that are held at once: 16 MB."""

Scope = Literal["models", "trainings"]
"""What a test is about: models, so that new trainings count, or the trainings at hand on new images."""
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One row minus another one, on the images that both have.

    Attributes:
        value: Difference of the means.
        low: Lower end of its 95 % interval. It excludes 0 if and only if the p-value is below 5 %.
        high: Upper end.
        p: Two-sided p-value of equal means.
        effect: Matched-pairs rank-biserial correlation: 1 if the first is higher in every group, -1 if lower.
        groups: Number of groups that count.
        images: Number of images that count.
        scope: "models" if new trainings count, "trainings" if their variance is unknown.
    """

    value: float
    low: float
    high: float
    p: float
    effect: float
    groups: int
    images: int
    scope: Scope


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The paired tests of all pairs of rows.

    Of more than :data:`MAX_EXACT_ROWS` rows, pairs that are significant or not whatever their exact p-value have 0 or 1
    in its place.

    Attributes:
        value: Differences of the means (R, R), on the images that both rows have.
        images: Numbers of these images, (R, R).
        p: P-values of the paired test (R, R); 1 on the diagonal, NaN where there is none.
        adjusted: P-values after Holm's correction over all pairs, (R, R).
    """

    value: NDArray[np.float64]
    images: NDArray[np.int64]
    p: NDArray[np.float64]
    adjusted: NDArray[np.float64]

    @cached_property
    def higher(self) -> NDArray[np.bool_]:
        """Whether the first row of a pair is significantly higher, (R, R).

        What follows from significant pairs is significant: if all of them are true, so is this.
        """
        return transitive_closure((np.nan_to_num(self.adjusted, nan=1.0) < ALPHA) & (self.value > 0))

    @cached_property
    def significant(self) -> NDArray[np.bool_]:
        """Which pairs differ significantly, (R, R)."""
        higher = self.higher
        return higher | higher.T

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

    The test is Student's paired t-test over groups, on the linearized statistic, joined with the variance between
    trainings where that is known (:func:`benchmark.statistics.combined.two_sided_p`). It accounts for unequal sizes of
    the groups. With one seed, groups of equal size and a plain mean, it is exactly the paired t-test on the means of
    the groups, and says nothing about other trainings.

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
    pairs = [on_common_images(one, other) for one, other in pairs]
    values = np.array([one.value - other.value for one, other in pairs])
    errors = np.array([_error_of_difference(one, other) for one, other in pairs]).reshape(-1, 4).T
    several = errors[3] > 0
    p = np.where(several, _p_values(values, errors), np.nan)
    errors[3] = np.maximum(errors[3], 1.0)
    width = np.where(several & np.isfinite(values), half_width(*errors), np.nan)
    by_group = [group_differences(one, other) for one, other in pairs]
    return [
        Difference(
            value=float(value),
            low=float(value - half),
            high=float(value + half),
            p=float(pair_p),
            effect=effect,
            groups=len(groups),
            images=min(one.images, other.images),
            scope="models" if one.error.knows_trainings and other.error.knows_trainings else "trainings",
        )
        for value, half, pair_p, effect, groups, (one, other) in zip(
            values, width, p, rank_biserials(by_group), by_group, pairs, strict=True
        )
    ]


def _error_of_difference(one: Estimate, other: Estimate, scope: Scope = "models") -> tuple[float, float, float, float]:
    """Computes variance between trainings and its degrees of freedom, then those between groups of images.

    The degrees of freedom of images are 0 for a single group. The first variance is 0 where the variance of either
    row's trainings is unknown, and in a test of the trainings at hand.
    """
    first, second = one.error, other.error
    influence = first.influence - second.influence
    groups = min(first.groups, second.groups)
    images = float(influence @ influence) * groups / (groups - 1) if groups > 1 else 0.0
    trainings, freedom = 0.0, 1.0
    if scope == "models" and first.knows_trainings and second.knows_trainings:
        trainings = first.training_variance + second.training_variance
        freedom = min(first.training_freedom, second.training_freedom)
        images = max(images - first.shared_interaction - second.shared_interaction, 0.0)
    return trainings, freedom if np.isfinite(freedom) else 1.0, images, max(groups - 1, 0.0)


def group_differences(one: Estimate, other: Estimate) -> NDArray[np.float64]:
    """Computes what each group adds to the difference, times the number of groups, (G,), of the groups that count.

    For groups of equal size, these are the differences of the groups' means. Otherwise larger groups weigh more. Where
    the rows have different images, they are jackknife pseudo-values.
    """
    first, second = one.error, other.error
    counted = first.has_images | second.has_images
    num_groups = int(counted.sum())
    if first.key == second.key:
        result = num_groups * (first.contributions[counted].astype(np.float64) - second.contributions[counted])
    else:
        result = (one.value - other.value) + num_groups * (first.influence[counted] - second.influence[counted])
    return np.where(np.abs(result) < NEGLIGIBLE, 0.0, result)


def all_pairs(estimates: Sequence[Estimate | None], *, scope: Scope = "models") -> Pairs:
    """Computes the paired test of :func:`difference` for every pair of rows, most of them by one matrix product.

    Args:
        estimates: One column of a table, by row. Rows without a finite estimate have no test.
        scope: "models" tests the rows whose variance between trainings is known. "trainings" tests all rows, and says
            nothing about other trainings.
    """
    num_rows = len(estimates)
    value, p = (np.full((num_rows, num_rows), np.nan) for _ in range(2))
    images = np.zeros((num_rows, num_rows), dtype=np.int64)
    tested = {
        index: row
        for index, row in enumerate(estimates)
        if row is not None and np.isfinite(row.value) and (scope == "trainings" or row.error.knows_trainings)
    }
    if len(tested) > 1:
        where = np.ix_(list(tested), list(tested))
        value[where], images[where], p[where] = _pairwise(list(tested.values()), scope)
    np.fill_diagonal(p, 1.0)
    upper = np.triu_indices(num_rows, 1)
    adjusted = np.ones((num_rows, num_rows))
    adjusted[upper] = holm(p[upper])
    adjusted.T[upper] = adjusted[upper]
    return Pairs(value=value, images=images, p=p, adjusted=adjusted)


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


def _pairwise(estimates: Sequence[Estimate], scope: Scope) -> tuple[Array, NDArray[np.int64], Array]:
    """Computes differences, numbers of images and p-values, (R, R) each."""
    upper = np.triu_indices(len(estimates), 1)
    values = np.array([estimate.value for estimate in estimates])
    sizes = np.array([estimate.images for estimate in estimates])
    value, images = values[:, None] - values, np.minimum(sizes[:, None], sizes)
    errors = _pairwise_errors(estimates, upper, scope)
    for index, one, other in _pairs_of_other_images(estimates, upper):
        first, second = on_common_images(estimates[one], estimates[other])
        value[one, other], value[other, one] = first.value - second.value, second.value - first.value
        images[one, other] = images[other, one] = first.images
        errors[:, index] = _error_of_difference(first, second, scope)
    p = np.ones(value.shape)
    p[upper] = (
        _deciding_p_values(value[upper], errors) if len(estimates) > MAX_EXACT_ROWS else _tested_p(value[upper], errors)
    )
    p.T[upper] = p[upper]
    return value, images, p


def _pairs_of_other_images(
    estimates: Sequence[Estimate], upper: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> Iterable[tuple[int, int, int]]:
    """Yields index and rows of the pairs that have different images."""
    keys = np.array([estimate.error.key for estimate in estimates])
    for index in np.flatnonzero(keys[upper[0]] != keys[upper[1]]).tolist():
        yield index, int(upper[0][index]), int(upper[1][index])


def _pairwise_errors(
    estimates: Sequence[Estimate], upper: tuple[NDArray[np.intp], NDArray[np.intp]], scope: Scope
) -> Array:
    """Computes :func:`_error_of_difference` of all pairs, (4, P): var(a - b) = var a + var b - 2 cov(a, b)."""
    one, other = upper
    errors = [estimate.error for estimate in estimates]
    influence = np.stack([error.influence for error in errors])
    groups = np.array([error.groups for error in errors])
    products = influence @ influence.T
    variances = np.diag(products)
    sizes = np.minimum(groups[one], groups[other])
    # Rounding may leave a tiny negative variance of equal rows.
    images = np.maximum(variances[one] + variances[other] - 2 * products[upper], 0.0)
    images *= sizes / np.maximum(sizes - 1, np.finfo(np.float64).tiny)
    if scope == "trainings":
        return np.stack([np.zeros(len(one)), np.ones(len(one)), images, np.maximum(sizes - 1, 0.0)])
    trainings = np.array([error.training_variance for error in errors])
    freedom = np.array([error.training_freedom for error in errors])
    shared = np.array([error.shared_interaction for error in errors])
    images = np.maximum(images - shared[one] - shared[other], 0.0)
    freedom = np.minimum(freedom[one], freedom[other])
    freedom = np.where(np.isfinite(freedom), freedom, 1.0)
    return np.stack([trainings[one] + trainings[other], freedom, images, np.maximum(sizes - 1, 0.0)])


def _tested_p(value: Array, errors: Array) -> Array:
    """Computes p-values; NaN for pairs of a single group."""
    return np.where(errors[3] > 0, _p_values(value, errors), np.nan)


def _deciding_p_values(value: Array, errors: Array) -> Array:
    """Computes the p-values that decide which pairs are significant after Holm's correction.

    The critical size of a pair is at least that of its larger error alone, and at most the sum of both. This bounds the
    number of significant pairs, hence the levels that Holm's correction compares with. Most pairs are then beyond both
    bounds, or within both. They get 0 or 1, which leaves the verdict on every other pair as it is.
    """
    p = np.full(len(value), np.nan)
    tested = errors[3] > 0
    size, part = np.abs(value[tested]), errors[:, tested]
    num_tested = num_possible = len(size)
    for _ in range(NUM_BOUNDS):
        longest = np.maximum(*_critical_sizes(part, ALPHA / (num_tested - num_possible + 1)))
        num_possible = int((size >= longest).sum())
    found = np.where(size > np.sum(_critical_sizes(part, ALPHA / max(num_tested, 1)), axis=0), 0.0, 1.0)
    is_open = (found > 0) & (size >= longest)
    found[is_open] = _p_values(size[is_open], part[:, is_open])
    p[tested] = found
    return p


def _critical_sizes(errors: Array, level: float) -> tuple[Array, Array]:
    """Computes which size is significant at a level by either error alone, (P,)."""
    sizes = []
    for variance, freedom in ((errors[0], errors[1]), (errors[2], np.maximum(errors[3], 1.0))):
        distinct, index = np.unique(freedom, return_inverse=True)
        sizes.append(np.sqrt(variance) * -stdtrit(distinct, level / 2)[index])
    return sizes[0], sizes[1]


def _p_values(value: Array, errors: Array) -> Array:
    """Computes two-sided p-values from differences and :func:`_error_of_difference`. Equal values have 1."""
    trainings, freedom, images, image_freedom = errors
    size = np.where(np.abs(value) < NEGLIGIBLE, 0.0, np.abs(value))
    return two_sided_p(size, trainings, freedom, images, np.maximum(image_freedom, 1.0))
