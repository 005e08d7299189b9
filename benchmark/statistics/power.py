"""How many images and trainings a comparison of two trained models needs."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from benchmark.statistics.bootstrap import Estimate

POWER = 0.8
"""Probability of a decision that a plan aims at."""
MAX_SEEDS = 200
MAX_GROUPS = 10**6


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonVariance:
    """The variances of a difference of two models.

    Attributes:
        groups: Effective number of groups (patients, lesions) at hand.
        by_group: Variance of the difference between groups.
        by_training: Variance of a score between trainings, mean of both models.
    """

    groups: float
    by_group: float
    by_training: float


def comparison_variance(one: Estimate, other: Estimate) -> ComparisonVariance:
    """Computes the variances of the difference of two models with several trainings each."""
    influence = one.error.influence - other.error.influence
    groups = min(one.error.groups, other.error.groups)
    of_mean = float(influence @ influence) * groups / (groups - 1)
    by_training = np.mean([estimate.error.seed_variance * estimate.error.seeds for estimate in (one, other)])
    return ComparisonVariance(groups=groups, by_group=of_mean * groups, by_training=float(by_training))


def decides(variance: ComparisonVariance, groups: float, seeds: int, size: float, alpha: float) -> bool:
    """Returns whether a comparison has a power of 80 % for both decisions.

    They are that an effect of `size` is significant, and that without any effect the difference is bounded by `size`.

    Args:
        variance: Variances of the comparison.
        groups: Number of groups.
        seeds: Number of trainings of each model.
        size: The smallest difference that matters.
        alpha: Level of the test, corrected for the number of tests.

    Example:
        >>> variance = ComparisonVariance(groups=100, by_group=0.01, by_training=0.0)
        >>> decides(variance, 40, 2, 0.05, 0.05), decides(variance, 30, 2, 0.05, 0.05)
        (True, False)
    """
    images, trainings = variance.by_group / groups, 2 * variance.by_training / seeds
    error = np.sqrt(images + trainings)
    if error == 0:
        return True
    # Satterthwaite's approximation of the degrees of freedom.
    freedom = (images + trainings) ** 2 / (images**2 / (groups - 1) + trainings**2 / (2 * (seeds - 1)))
    detect = stdtrit(freedom, 1 - alpha / 2) + stdtrit(freedom, POWER)
    bound = stdtrit(freedom, 1 - alpha) + stdtrit(freedom, (1 + POWER) / 2)
    return bool(max(detect, bound) <= size / error)


def seeds_needed(variance: ComparisonVariance, size: float, alpha: float) -> int | None:
    """Returns the number of trainings of each model that decides with the groups at hand; None if none does."""
    counts = range(2, MAX_SEEDS + 1)
    return next((seeds for seeds in counts if decides(variance, variance.groups, seeds, size, alpha)), None)


def groups_needed(variance: ComparisonVariance, seeds: int, size: float, alpha: float) -> int | None:
    """Returns the number of groups that decides with a number of trainings; None if none does."""
    if not decides(variance, MAX_GROUPS, seeds, size, alpha):
        return None
    low, high = 2, MAX_GROUPS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(variance, middle, seeds, size, alpha) else (middle + 1, high)
    return low
