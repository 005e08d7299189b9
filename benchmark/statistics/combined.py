"""The distribution of a sum of two errors whose variances are estimated: of images, and of trainings."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr, stdtrit

from benchmark.statistics.intervals import LEVEL

CHUNK_SIZE = 2**14
"""Maximum number of probabilities that are integrated at once."""
STEP = 0.1
NODES = np.arange(-90, 91) * STEP
"""Nodes of the integral, before the hyperbolic sine spreads them over the tails."""
NUM_ITERATIONS = 14

Array = NDArray[np.float64]


def two_sided_p(size: Array, trainings: Array, trainings_freedom: Array, images: Array, images_freedom: Array) -> Array:
    """Computes the probability that the sum of two errors is at least as large as observed, in absolute value.

    Each error is its standard deviation times Student's t with its own degrees of freedom. Few trainings therefore
    count as few, however small the variance is that they happen to show. Satterthwaite's approximation forgets them
    then. Without one of the errors this is Student's t-test of the other one.

    Args:
        size: What is observed, (P,). Its sign does not matter.
        trainings: Variance between trainings, (P,).
        trainings_freedom: Its degrees of freedom, (P,).
        images: Variance between groups of images, (P,).
        images_freedom: Its degrees of freedom, (P,).

    Returns:
        P-values (P,). Without any variance they are 1 for a size of 0, and 0 otherwise.

    Reference:
        Fisher, The fiducial argument in statistical inference, Annals of Eugenics 6, 1935 (the Behrens-Fisher
        distribution); Robinson, Properties of Student's t and of the Behrens-Fisher solution, Annals of Statistics 4,
        1976 (its error rate is at most nominal).

    Example:
        >>> one, none = np.ones(1), np.zeros(1)
        >>> two_sided_p(2 * one, none, one, one, 30 * one).round(4)
        array([0.0546])
        >>> two_sided_p(2 * one, one, one, one, 30 * one).round(3)
        array([0.362])
    """
    parts = np.broadcast_arrays(np.abs(size), trainings, trainings_freedom, images, images_freedom)
    size, *errors = (np.asarray(part, dtype=np.float64).ravel() for part in parts)
    p = _student(size, np.maximum(errors[0], errors[2]), np.where(errors[0] > errors[2], errors[1], errors[3]))
    both = np.flatnonzero((errors[0] > 0) & (errors[2] > 0))
    for start in range(0, len(both), CHUNK_SIZE):
        chosen = both[start : start + CHUNK_SIZE]
        p[chosen] = _integrate(size[chosen], *(error[chosen] for error in errors))
    return p


def half_width(trainings: Array, trainings_freedom: Array, images: Array, images_freedom: Array) -> Array:
    """Computes half the width of the 95 % interval that belongs to :func:`two_sided_p`.

    A difference is outside of it if and only if its p-value is below 5 %.
    """
    errors = (trainings, trainings_freedom, images, images_freedom)
    widths = [np.sqrt(variance) * stdtrit(freedom, (1 + LEVEL) / 2) for variance, freedom in (errors[:2], errors[2:])]
    # The larger part alone is too short, and both parts together are too long.
    low, high = np.maximum(*widths), np.sum(widths, axis=0)
    both = (low > 0) & (high > low)
    if both.any():
        chosen = tuple(np.broadcast_to(error, low.shape)[both] for error in errors)
        low[both] = _solve(low[both], high[both], chosen)
    return low


def _solve(low: Array, high: Array, errors: tuple[Array, ...]) -> Array:
    """Finds the sizes of p-value 5 % between two bounds, by the Illinois variant of false position."""

    def excess(size: Array) -> Array:
        return np.log(two_sided_p(size, *errors) / (1 - LEVEL))

    at_low, at_high = excess(low), excess(high)
    middle = low
    for _ in range(NUM_ITERATIONS):
        slope = at_low - at_high
        middle = np.where(slope > 0, low + (high - low) * at_low / np.where(slope > 0, slope, 1.0), low)
        at_middle = excess(middle)
        above = at_middle > 0
        at_high = np.where(above, at_high / 2, at_middle)
        at_low = np.where(above, at_middle, at_low / 2)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return middle


def _student(size: Array, variance: Array, freedom: Array) -> Array:
    """Computes two-sided p-values of Student's t."""
    error = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    return np.where(np.isfinite(variance), 2 * stdtr(freedom, -size / error), np.nan)


def _integrate(size: Array, first: Array, first_freedom: Array, second: Array, second_freedom: Array) -> Array:
    """Integrates over the error with the smaller variance. The other one makes a smooth integrand on that scale."""
    turned = first > second
    small, large = np.where(turned, second, first), np.where(turned, first, second)
    freedom = np.where(turned, second_freedom, first_freedom)
    large_freedom = np.where(turned, first_freedom, second_freedom)
    nodes = np.sinh(NODES)
    weights = _density(nodes, freedom) * np.cosh(NODES) * STEP
    beyond = (-size[:, None] - np.sqrt(small)[:, None] * nodes) / np.sqrt(large)[:, None]
    inside = (weights * stdtr(large_freedom[:, None], beyond)).sum(axis=1)
    # The mass to the left of the first node is beyond the size almost surely.
    return np.minimum(2 * (inside + stdtr(freedom, nodes[0])), 1.0)


def _density(nodes: Array, freedom: Array) -> Array:
    """Computes the density of Student's t at nodes (K,) for degrees of freedom (P,), (P, K)."""
    scale = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi)
    return np.exp(scale[:, None] - (freedom[:, None] + 1) / 2 * np.log1p(nodes**2 / freedom[:, None]))
