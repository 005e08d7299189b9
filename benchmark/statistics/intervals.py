"""Intervals from the draws of the bootstrap, mended for few groups and few seeds."""

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
    """What a statistic's error is made of, so that it can be set against another's.

    A statistic is the sum of its groups' shares. Its linearized error in a group is the share less what the mean
    would give a group of that size (the influence of the group; for a plain mean over groups of equal size, the
    group's mean less the whole one, over the number of groups).

    Attributes:
        share: What each group adds to the value, (G,); mean over the seeds.
        counts: What has a say in each group, (C, G); statistics with the same counts share them.
        rates: What one of these counts adds if its images score like all others, (C,).
        said: Which groups have a say, (G,).
        groups: Effective number of groups: all of them if they are of equal size, fewer if not.
        seeds: Number of training seeds.
        seed_variance: Of the mean over the seeds; 0 for a single one, whose variance nobody knows.
        key: Stands for which images have a say, and how much.
    """

    share: NDArray[np.float32]
    counts: NDArray[np.floating]
    rates: NDArray[np.float64]
    said: NDArray[np.bool_]
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
        """Linearised error by group, (G,); sums to 0."""
        return self.share.astype(np.float64) - self.expected


def interval(value: float, draws: NDArray[np.floating], factor: float) -> tuple[float, float]:
    """Ends of the percentile interval, moved away from the value by a factor; turned about where signs are turned."""
    return intervals([value], [draws], [factor])[0]


def intervals(
    values: Sequence[float], draws: Sequence[NDArray[np.floating]], factors: Sequence[float]
) -> list[tuple[float, float]]:
    """:func:`interval` of many statistics; those without a missing draw are sorted together."""
    found = [(np.nan, np.nan)] * len(values)
    together: dict[int, list[int]] = {}
    known = [_known(each) for each in draws]
    for place, each in enumerate(known):
        if len(each) and np.isfinite(factors[place]) and np.isfinite(values[place]):
            together.setdefault(len(each), []).append(place)
    tail = (1 - LEVEL) / 2
    for places in together.values():
        ordered = np.sort(np.stack([known[place] for place in places]), axis=1)
        ends = np.quantile(ordered, tail, axis=1), -np.quantile(-ordered[:, ::-1], tail, axis=1)
        for place, low, high in zip(places, *(end.tolist() for end in ends), strict=True):
            value, factor = values[place], factors[place]
            found[place] = (float(value + factor * (low - value)), float(value + factor * (high - value)))
    return found


def small_sample_factor(spreads: Sequence[ErrorComponents]) -> float:
    """Factor that mends a percentile interval of a statistic, or of the difference of two; NaN for a single group."""
    return small_sample_factor_from(*error_parts(spreads))


def small_sample_factor_from(groups: float, between: float, seeds: float, freedom: float) -> float:
    """:func:`small_sample_factor` from what :func:`error_parts` found."""
    if groups <= 1:
        return np.nan
    if between + seeds <= 0:
        return 1.0
    drawn = between * (groups - 1) / groups + seeds
    return float(stdtrit(freedom, (1 + LEVEL) / 2) / NORMAL * np.sqrt((between + seeds) / drawn))


def small_sample_factor_of_groups(groups: float) -> float:
    """:func:`small_sample_factor` of a statistic of one training, by the effective number of groups alone."""
    return small_sample_factor_from(groups, 1.0, 0.0, max(groups - 1, 1.0))


def error_parts(spreads: Sequence[ErrorComponents]) -> tuple[float, float, float, float]:
    """Error of a statistic, or of the first one less the second.

    Returns:
        Effective number of groups, variance between groups, variance between seeds, and degrees of freedom.
    """
    influence = spreads[0].influence - (spreads[1].influence if len(spreads) > 1 else 0.0)
    groups = min(spread.groups for spread in spreads)
    between = float(influence @ influence) * groups / (groups - 1) if groups > 1 else np.nan
    parts = [(between, groups - 1)] + [(spread.seed_variance, spread.seeds - 1) for spread in spreads]
    # math.fsum: the order of the two rows must not show in the last digit.
    total = math.fsum(variance for variance, _ in parts)
    against = math.fsum(variance**2 / freedom for variance, freedom in parts if freedom > 0 and variance > 0)
    freedom = total**2 / against if against > 0 else groups - 1
    return groups, between, total - between, max(freedom, 1.0)


def _known(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """Draws that are numbers."""
    finite = np.isfinite(draws)
    return (draws if finite.all() else draws[finite]).astype(np.float64, copy=False)
