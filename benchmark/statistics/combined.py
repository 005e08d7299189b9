"""The distribution of a sum of two errors whose variances are estimated: of images, and of trainings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr, stdtrit

from benchmark.statistics.intervals import LEVEL

CHUNK_SIZE = 2**11
"""Maximum number of probabilities that are integrated at once: 3 MB for each array of nodes."""
STEP = 0.1
NODES = np.arange(-90, 91) * STEP
"""Nodes of the integral, before the hyperbolic sine spreads them over the tails."""
MAX_STEPS = 20
MIN_WEIGHT = 1e-25
"""Minimum weight of a node that counts in a p-value near 5 %: all others together add less than rounding."""
LAST_STEP = 1e-7
"""A step of Newton's method that is smaller, relative to the size, is the last one."""

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
        p[chosen] = _integrand(size[chosen], *(error[chosen] for error in errors)).p()
    return p


def half_width(trainings: Array, trainings_freedom: Array, images: Array, images_freedom: Array) -> Array:
    """Computes half the width of the 95 % interval that belongs to :func:`two_sided_p`.

    A difference is outside of it if and only if its p-value is below 5 %.
    """
    errors = (trainings, trainings_freedom, images, images_freedom)
    widths = [np.sqrt(variance) * stdtrit(freedom, (1 + LEVEL) / 2) for variance, freedom in (errors[:2], errors[2:])]
    # The larger part alone is too short, and both parts together are too long.
    low, high = np.maximum(*widths), np.sum(widths, axis=0)
    both = np.flatnonzero((low > 0) & (high > low))
    for start in range(0, len(both), CHUNK_SIZE):
        chosen = both[start : start + CHUNK_SIZE]
        parts = tuple(np.broadcast_to(error, low.shape)[chosen] for error in errors)
        low[chosen] = _solve(np.hypot(*widths)[chosen], low[chosen], high[chosen], parts)
    return low


def _solve(size: Array, low: Array, high: Array, errors: tuple[Array, ...]) -> Array:
    """Finds the sizes of p-value 5 % between two bounds by Newton's method, in logarithms of both.

    The tail is almost a power there, so three steps suffice. A step is at most the square of the one before it.
    """
    found = size.copy()
    unsolved = np.arange(len(size))
    for _ in range(MAX_STEPS):
        part = found[unsolved]
        integrand = _integrand(part, *(error[unsolved] for error in errors))
        p = integrand.p(min_weight=MIN_WEIGHT)
        step = np.exp(np.log(p / (1 - LEVEL)) * p / (integrand.slope() * part))
        found[unsolved] = np.clip(part * step, low[unsolved], high[unsolved])
        unsolved = unsolved[np.abs(found[unsolved] / part - 1) > LAST_STEP]
        if not len(unsolved):
            break
    return found


def _student(size: Array, variance: Array, freedom: Array) -> Array:
    """Computes two-sided p-values of Student's t."""
    error = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    return np.where(np.isfinite(variance), 2 * stdtr(freedom, -size / error), np.nan)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Integrand:
    """The integral over the error with the smaller variance. The other one makes a smooth integrand on that scale.

    Attributes:
        weights: Probability of the smaller error at each node, (P, K).
        beyond: Value of the larger error, in its standard deviations, that makes the sum as large as observed, (P, K).
        freedom: Degrees of freedom of the smaller error, (P,).
        large: Variance of the larger error, (P,).
        large_freedom: Its degrees of freedom, (P,).
    """

    weights: Array
    beyond: Array
    freedom: Array
    large: Array
    large_freedom: Array

    def p(self, min_weight: float = 0.0) -> Array:
        """Computes the p-values (P,). Nodes of at most a minimum weight are left out, which saves their time."""
        counted = self.weights > min_weight if min_weight else np.True_
        tails = stdtr(self.large_freedom[:, None], self.beyond, where=counted, out=np.zeros_like(self.beyond))
        inside = (self.weights * tails).sum(axis=1)
        # The mass to the left of the first node is beyond the size almost surely.
        return np.minimum(2 * (inside + stdtr(self.freedom, np.sinh(NODES[0]))), 1.0)

    def slope(self) -> Array:
        """Computes by how much the p-values fall per unit of the size, (P,)."""
        return 2 * (self.weights * _density(self.beyond, self.large_freedom)).sum(axis=1) / np.sqrt(self.large)


def _integrand(size: Array, first: Array, first_freedom: Array, second: Array, second_freedom: Array) -> _Integrand:
    """Computes the integrand at all nodes."""
    turned = first > second
    small, large = np.where(turned, second, first), np.where(turned, first, second)
    freedom = np.where(turned, second_freedom, first_freedom)
    nodes = np.sinh(NODES)
    return _Integrand(
        weights=_density(nodes, freedom) * np.cosh(NODES) * STEP,
        beyond=(-size[:, None] - np.sqrt(small)[:, None] * nodes) / np.sqrt(large)[:, None],
        freedom=freedom,
        large=large,
        large_freedom=np.where(turned, first_freedom, second_freedom),
    )


def _density(nodes: Array, freedom: Array) -> Array:
    """Computes the density of Student's t at nodes (K,) or (P, K) for degrees of freedom (P,), (P, K)."""
    scale = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi)
    return np.exp(scale[:, None] - (freedom[:, None] + 1) / 2 * np.log1p(nodes**2 / freedom[:, None]))
