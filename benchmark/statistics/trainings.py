"""How far new trainings vary: from the seeds of a row, and from those of the other rows of the table."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from benchmark.statistics.bootstrap import Estimate, with_errors

MIN_POOLED_ROWS = 3
"""Minimum number of rows with several seeds that may serve rows with a single one."""
MIN_RELATIVE_VARIANCE = 1e-5
"""Smaller variances, relative to the median, are raised to it: their logarithm would decide alone."""
ROUNDING = float(np.finfo(np.float32).eps)
"""Trainings whose values differ less than this, relative to the value, are equal: scores are stored to 24 bits."""

Array = NDArray[np.float64]


def pool_trainings(rows: Sequence[Estimate]) -> list[Estimate]:
    """Gives each row of a column the variance between trainings, with its degrees of freedom.

    The variances of the rows are taken as draws of one distribution, and shrunk towards what they have in common. A row
    whose own variance is larger keeps its own. From three rows with several seeds on, rows with one seed get the common
    variance. With fewer, a row with one seed has none, and its interval is over images only.

    Args:
        rows: Estimates of one column, with one or several seeds each.
    """
    seeds = np.array([row.error.seeds for row in rows])
    several = np.flatnonzero(seeds > 1)
    several = several[np.isfinite([rows[index].error.seed_variance for index in several])]
    if not len(several):
        return list(rows)
    own = np.array([rows[index].error.seed_variance for index in several])
    own[own < (ROUNDING * np.array([rows[index].value for index in several])) ** 2] = 0.0
    variances, freedom, common = moderate_variances(own, seeds[several] - 1)
    interaction = float(np.mean([rows[index].error.interaction for index in several]))
    pooled = {index: (variance, df) for index, variance, df in zip(several, variances, freedom, strict=True)}
    if len(several) >= MIN_POOLED_ROWS:
        pooled |= dict.fromkeys(np.flatnonzero(seeds == 1), common)
    errors = [row.error for row in rows]
    for index, (variance, df) in pooled.items():
        error = errors[index]
        errors[index] = replace(
            error,
            training_variance=float(variance) / error.seeds,
            training_freedom=float(df),
            interaction=error.interaction if error.seeds > 1 else interaction,
        )
    return with_errors(rows, errors)


def moderate_variances(variances: Array, freedom: NDArray[np.integer]) -> tuple[Array, Array, tuple[float, float]]:
    """Shrinks variances towards their common value, by empirical Bayes.

    Args:
        variances: Variance of each row, (R,).
        freedom: Its degrees of freedom, (R,).

    Returns:
        Variances (R,), their degrees of freedom (R,), and both of a row without a variance of its own. Fewer than three
        rows are taken as equal. No variance is smaller than the row's own where rows differ, and no degrees of freedom
        exceed those of all rows.

    Reference:
        Smyth, Linear models and empirical Bayes methods for assessing differential expression in microarray
        experiments, Statistical Applications in Genetics and Molecular Biology 3, 2004, section 6.
    """
    total = float(freedom.sum())
    prior, prior_freedom = _prior(variances, freedom)
    if np.isinf(prior_freedom):
        pooled = float(freedom @ variances) / total
        return np.full(len(variances), pooled), np.full(len(variances), total), (pooled, total)
    shrunk = (prior_freedom * prior + freedom * variances) / (prior_freedom + freedom)
    common = (prior, min(max(prior_freedom, 1.0), total))
    return np.maximum(shrunk, variances), np.minimum(prior_freedom + freedom, total), common


def _prior(variances: Array, freedom: NDArray[np.integer]) -> tuple[float, float]:
    """Fits the scaled inverse chi-squared distribution of the true variances: its scale and degrees of freedom.

    The degrees of freedom are infinite where the variances differ no more than those of equal rows.
    """
    if len(variances) < MIN_POOLED_ROWS or not np.median(variances) > 0:
        return np.nan, np.inf
    raised = np.maximum(variances, MIN_RELATIVE_VARIANCE * np.median(variances))
    logs = np.log(raised) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if excess <= 0:
        return np.nan, np.inf
    prior_freedom = 2 * _inverse_trigamma(excess)
    return float(np.exp(logs.mean() + digamma(prior_freedom / 2) - np.log(prior_freedom / 2))), prior_freedom


def _inverse_trigamma(value: float) -> float:
    """Solves trigamma(x) = value by Newton's method on 1 / trigamma, which is almost linear.

    Example:
        >>> round(_inverse_trigamma(float(polygamma(1, 2.5))), 6)
        2.5
    """
    x = 0.5 + 1 / value
    for _ in range(30):
        trigamma = float(polygamma(1, x))
        x += trigamma * (1 - trigamma / value) / float(polygamma(2, x))
    return x
