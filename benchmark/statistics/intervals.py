"""Intervals from the draws of the bootstrap, corrected for few groups, and the parts of an error."""

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
        seed_variance: Variance between the values of single trainings; NaN for one seed.
        interaction: Part of the variance between groups of a single training that the seed variance contains, since
            seeds differ from image to image; NaN for one seed.
        training_variance: Variance of the value over new trainings: 0 where nothing is trained, NaN where it is
            unknown.
        training_freedom: Degrees of freedom of the training variance.
        key: Hash of the counts: which images count, and how much.
    """

    contributions: NDArray[np.float32]
    counts: NDArray[np.floating]
    rates: NDArray[np.float64]
    has_images: NDArray[np.bool_]
    groups: float
    seeds: int
    seed_variance: float
    interaction: float
    training_variance: float
    training_freedom: float
    key: int

    @property
    def knows_trainings(self) -> bool:
        """Whether it is known how far new trainings vary."""
        return bool(np.isfinite(self.training_variance))

    @property
    def shared_interaction(self) -> float:
        """The part of the variance between groups that the training variance contains as well."""
        known = self.training_variance > 0 and np.isfinite(self.interaction)
        return self.interaction / self.seeds if known else 0.0

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
    for indices in indices_by_length.values():
        ends = _central_ends(np.stack([finite_draws[index] for index in indices]))
        for index, low, high in zip(indices, *ends.tolist(), strict=True):
            value, factor = values[index], factors[index]
            results[index] = (float(value + factor * (low - value)), float(value + factor * (high - value)))
    return results


def small_sample_factor(groups: float) -> float:
    """Computes the factor that corrects a percentile interval, from the effective number of groups.

    Returns:
        The factor, at least 1; NaN for a single group.
    """
    if groups <= 1:
        return np.nan
    return float(stdtrit(max(groups - 1, 1.0), (1 + LEVEL) / 2) / NORMAL * np.sqrt(groups / (groups - 1)))


def _central_ends(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the ends of the central 95 % of draws (R, B), (2, R): the quantiles of NumPy, in a third of the time.

    The upper end is the lower one of the negated draws, so that a change of sign is exact.
    """
    last = draws.shape[1] - 1
    first, share = divmod(last * (1 - LEVEL) / 2, 1)
    low, high = int(first), min(int(first) + 1, last)
    ordered = np.partition(draws, sorted({low, high, last - high, last - low}), axis=1)
    nearest = np.stack([ordered[:, [low, high]], -ordered[:, [last - low, last - high]]])
    outer, inner = nearest[..., 0], nearest[..., 1]
    # Interpolated from the nearer of the two, as NumPy does.
    ends = outer + (inner - outer) * share if share < 1 / 2 else inner - (inner - outer) * (1 - share)
    return ends * [[1], [-1]]


def _finite(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the finite draws."""
    finite = np.isfinite(draws)
    return (draws if finite.all() else draws[finite]).astype(np.float64, copy=False)
