"""Intervals of proportions, and of means of proportions over classes, that hold near 0 and 1."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmark.statistics.intervals import LEVEL, NORMAL
from benchmark.statistics.resampling import effective_groups

Array = NDArray[np.float64]


def wilson(fraction: float, size: float, quantile: float = NORMAL) -> tuple[float, float]:
    """Computes Wilson's score interval of a fraction of independent images.

    Args:
        fraction: What was observed, in [0, 1].
        size: Number of images, or the effective number where they are not independent.
        quantile: Quantile of the distribution of the error.

    Reference:
        Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927; Brown, Cai and
        DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001.

    Example:
        >>> low, high = wilson(0.0, 40)
        >>> round(low, 3), round(high, 3)
        (0.0, 0.088)
    """
    square = quantile**2 / size
    middle = (fraction + square / 2) / (1 + square)
    width = np.sqrt(square * (fraction * (1 - fraction) + square / 4)) / (1 + square)
    return float(max(middle - width, 0.0)), float(min(middle + width, 1.0))


def proportion_interval(amounts: Array, counts: Array, variance: float, trainings: int = 1) -> tuple[float, float]:
    """Computes the 95 % interval of a mean over classes of fractions, such as the balanced accuracy.

    Each class has Wilson's interval, with the effective number of its images: their number, divided by the design
    effect of the groups. The classes are joined by the distances of their ends (MOVER). Where every image of a class is
    right or every one is wrong, nothing shows how alike the images of a group are. Whole groups count as one then.

    Args:
        amounts: Right images of each class and group, (C, G); mean over the trainings.
        counts: Images of each class and group, (C, G).
        variance: Linearized variance of the mean over classes, between groups.
        trainings: Number of trainings that the amounts are a mean of.

    Returns:
        Both ends; NaN where no class has images, or where there is a single group.

    Reference:
        Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts estimated
        from survey data, Survey Methodology 24, 1998 (effective numbers); Zou and Donner, Construction of confidence
        limits about effect measures, Statistics in Medicine 27, 2008 (MOVER).
    """
    parts = [_class_interval(*pair, trainings) for pair in zip(amounts, counts, strict=True) if pair[1].any()]
    if not parts or np.count_nonzero(counts.sum(axis=0)) < 2:
        return np.nan, np.nan
    value, low, high, variances = (np.array(column) for column in zip(*parts, strict=True))
    independent = variances.sum() / len(parts) ** 2
    # Groups with images of several classes tie the classes together.
    inflation = max(variance / independent, 1.0) if independent > 0 else 1.0
    scale = np.sqrt(inflation) / len(parts)
    below, above = (scale * np.sqrt(((value - end) ** 2).sum()) for end in (low, high))
    mean = float(value.mean())
    return max(mean - float(below), 0.0), min(mean + float(above), 1.0)


def _class_interval(amounts: Array, counts: Array, trainings: int) -> tuple[float, float, float, float]:
    """Computes value, ends and variance of one class from the sums by group, (G,)."""
    size, groups = float(counts.sum()), effective_groups(counts)
    value = float(amounts.sum()) / size
    spread = amounts - value * counts
    variance = float(spread @ spread) / size**2 * groups / max(groups - 1, 1.0)
    alone = bool((counts <= 1).all())
    effective = groups
    if variance > 0:
        effective = min(value * (1 - value) / variance, size * trainings)
    if alone and trainings == 1:
        effective = size
    quantile = NORMAL if alone else float(stdtrit(max(groups - 1, 1.0), (1 + LEVEL) / 2))
    return value, *wilson(value, max(effective, 1.0), quantile), variance
