"""Intervals from the draws of the bootstrap, corrected for few groups and few seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

LEVEL = 0.95
NORMAL = 1.959963984540054
"""Quantile of the normal distribution for :data:`LEVEL`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorComponents:
    """Components of a statistic's error, for comparison with the error of another statistic.

    A statistic is the sum of the contributions of its groups. The linearized error (influence) of a group is its
    contribution minus what the mean gives a group of that size. For a plain mean over groups of equal size, this is the
    group's mean minus the total mean, divided by the number of groups.

    Attributes:
        contributions: What each group adds to the value, (G,); mean over the seeds.
        counts: Counts of each group, (C, G). Statistics with equal counts share the array.
        rates: What one of these counts adds if its images score like all others, (C,).
        has_images: Which groups have images that count, (G,).
        groups: Effective number of groups: the number of groups if they are of equal size, smaller if not.
        seeds: Number of training seeds.
        seed_variance: Variance of the mean over the seeds; 0 for a single one, whose variance is unknown.
        key: Hash of the counts: which images count, and how much.
    """

    contributions: NDArray[np.float32]
    counts: NDArray[np.floating]
    rates: NDArray[np.float64]
    has_images: NDArray[np.bool_]
    groups: float
    seeds: int
    seed_variance: float
    key: int

    @property
    def expected(self) -> NDArray[np.float32]:
        """What each group would add if its images scored like all others, (G,)."""
        return (self.rates @ self.counts).astype(np.float32)

    @property
    def influence(self) -> NDArray[np.float64]:
        """Linearized error by group, (G,); sums to 0."""
        return self.contributions.astype(np.float64) - self.expected


def interval(value: float, draws: NDArray[np.floating], factor: float) -> tuple[float, float]:
    """Returns the ends of the percentile interval, moved away from the value by a factor.

    Negated values and draws give exactly the negated interval.
    """
    return intervals([value], [draws], [factor])[0]


def intervals(
    values: Sequence[float], draws: Sequence[NDArray[np.floating]], factors: Sequence[float]
) -> list[tuple[float, float]]:
    """Computes :func:`interval` of many statistics. Those with the same number of finite draws are sorted in one call.

    An interval is NaN where the value, the factor or all draws are not finite.
    """
    results = [(np.nan, np.nan)] * len(values)
    indices_by_length: dict[int, list[int]] = {}
    finite_draws = [_finite(statistic) for statistic in draws]
    for index, statistic in enumerate(finite_draws):
        if len(statistic) and np.isfinite(factors[index]) and np.isfinite(values[index]):
            indices_by_length.setdefault(len(statistic), []).append(index)
    tail = (1 - LEVEL) / 2
    for indices in indices_by_length.values():
        ordered = np.sort(np.stack([finite_draws[index] for index in indices]), axis=1)
        # The upper end is the lower one of the negated draws, so that a change of sign is exact.
        ends = np.quantile(ordered, tail, axis=1), -np.quantile(-ordered[:, ::-1], tail, axis=1)
        for index, low, high in zip(indices, *(end.tolist() for end in ends), strict=True):
            value, factor = values[index], factors[index]
            results[index] = (float(value + factor * (low - value)), float(value + factor * (high - value)))
    return results


def small_sample_factor(errors: Sequence[ErrorComponents]) -> float:
    """Computes the factor that corrects a percentile interval of a statistic, or of the difference of two.

    Returns:
        The factor, at least 1; NaN for a single group.
    """
    return small_sample_factor_from(*error_parts(errors))


def small_sample_factor_from(groups: float, between: float, seeds: float, freedom: float) -> float:
    """Computes :func:`small_sample_factor` from the results of :func:`error_parts`."""
    if groups <= 1:
        return np.nan
    if between + seeds <= 0:
        return 1.0
    drawn = between * (groups - 1) / groups + seeds
    return float(stdtrit(freedom, (1 + LEVEL) / 2) / NORMAL * np.sqrt((between + seeds) / drawn))


def small_sample_factor_of_groups(groups: float) -> float:
    """Computes :func:`small_sample_factor` of a statistic of one training, from the effective number of groups."""
    return small_sample_factor_from(groups, 1.0, 0.0, max(groups - 1, 1.0))


def error_parts(errors: Sequence[ErrorComponents]) -> tuple[float, float, float, float]:
    """Computes the error of a statistic, or of the first one minus the second.

    Returns:
        Effective number of groups, variance between groups, variance between seeds, and degrees of freedom.
    """
    influence = errors[0].influence - (errors[1].influence if len(errors) > 1 else 0.0)
    groups = min(error.groups for error in errors)
    between = float(influence @ influence) * groups / (groups - 1) if groups > 1 else np.nan
    parts = [(between, groups - 1)] + [(error.seed_variance, error.seeds - 1) for error in errors]
    # math.fsum: the order of the two rows must not change the last digit.
    total = math.fsum(variance for variance, _ in parts)
    # Satterthwaite's approximation of the degrees of freedom.
    denominator = math.fsum(variance**2 / freedom for variance, freedom in parts if freedom > 0 and variance > 0)
    freedom = total**2 / denominator if denominator > 0 else groups - 1
    return groups, between, total - between, max(freedom, 1.0)


def _finite(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the finite draws."""
    finite = np.isfinite(draws)
    return (draws if finite.all() else draws[finite]).astype(np.float64, copy=False)
