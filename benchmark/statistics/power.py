"""How many images and trainings a comparison of two trained models needs."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.combined import two_sided_p
from benchmark.statistics.common_images import on_common_images

POWER = 0.8
"""Probability of a decision that a plan aims at."""
MAX_SEEDS = 200
MIN_GROUPS, MAX_GROUPS = 10, 10**6
"""Variances of fewer groups are not known well enough for any plan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonVariance:
    """The variances of a difference of two models.

    Attributes:
        groups: Effective number of groups (patients, lesions) at hand.
        by_group: Variance of the difference between groups.
        by_training: Variance of a score between trainings on infinitely many groups, mean of both models.
        by_both: Variance between groups of what a training adds to the score of a group, mean of both models.
        freedom: Degrees of freedom of the training variance that each training after the first adds.
    """

    groups: float
    by_group: float
    by_training: float
    by_both: float = 0.0
    freedom: float = 1.0

    def of_trainings(self, groups: float) -> float:
        """Returns the variance of a score between trainings on a number of groups."""
        return self.by_training + self.by_both / groups


def comparison_variance(one: Estimate, other: Estimate) -> ComparisonVariance:
    """Computes the variances of the difference of two models whose trainings have a known variance."""
    one, other = on_common_images(one, other)
    errors = one.error, other.error
    influence = errors[0].influence - errors[1].influence
    groups = min(error.groups for error in errors)
    images = float(influence @ influence) * groups / (groups - 1) - sum(error.shared_interaction for error in errors)
    trainings = float(np.mean([error.training_variance * error.seeds for error in errors]))
    interaction = float(np.mean([error.shared_interaction * error.seeds for error in errors]))
    return ComparisonVariance(
        groups=groups,
        by_group=max(images, 0.0) * groups,
        by_training=max(trainings - interaction, 0.0),
        by_both=min(interaction, trainings) * groups,
        freedom=min(error.training_freedom / max(error.seeds - 1, 1) for error in errors),
    )


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
    images, trainings = variance.by_group / groups, 2 * variance.of_trainings(groups) / seeds
    # What the estimate reaches with a probability of 80 %: for an effect of the size, and for none in either direction.
    quantiles = np.array([ndtri(POWER), ndtri((1 + POWER) / 2)])
    left = size - quantiles * np.sqrt(images + trainings)
    freedom = np.full(2, variance.freedom * (seeds - 1))
    p = two_sided_p(
        np.maximum(left, 0.0), np.full(2, trainings), freedom, np.full(2, images), np.full(2, max(groups - 1, 1.0))
    )
    return bool(p[0] <= alpha and p[1] <= 2 * alpha)


def seeds_needed(variance: ComparisonVariance, size: float, alpha: float) -> int | None:
    """Returns the number of trainings of each model that decides with the groups at hand; None if none does."""
    counts = range(2, MAX_SEEDS + 1)
    return next((seeds for seeds in counts if decides(variance, variance.groups, seeds, size, alpha)), None)


def groups_needed(variance: ComparisonVariance, seeds: int, size: float, alpha: float) -> int | None:
    """Returns the number of groups that decides with a number of trainings; None if none does."""
    if not decides(variance, MAX_GROUPS, seeds, size, alpha):
        return None
    low, high = MIN_GROUPS, MAX_GROUPS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(variance, middle, seeds, size, alpha) else (middle + 1, high)
    return low
