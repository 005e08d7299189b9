"""Equivalence of two rows: the test that their difference is smaller than a meaningful size."""

from dataclasses import replace

from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.common_images import on_common_images
from benchmark.statistics.tests import difference


def equivalence_p(one: Estimate, other: Estimate, size: float) -> float:
    """Computes the p-value of the hypothesis that two rows differ by `size` or more, in either direction.

    These are two one-sided tests, of which the larger p-value counts. Each is the paired test of
    :func:`benchmark.statistics.tests.difference`, with images and trainings as sources of error.

    Args:
        one: A row.
        other: Another row, on the same images.
        size: The smallest difference that matters; positive.

    Returns:
        The p-value; NaN where the paired test has none.

    Reference:
        Schuirmann, A comparison of the two one-sided tests procedure and the power approach for assessing the
        equivalence of average bioavailability, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987.
    """
    one, other = on_common_images(one, other)
    return max(_beyond(one, other, -size), _beyond(other, one, -size))


def _beyond(one: Estimate, other: Estimate, shift: float) -> float:
    """Computes the one-sided p-value that the first row plus a shift is below the second one."""
    test = difference(replace(one, value=one.value + shift), other)
    return test.p / 2 if test.value < 0 else 1 - test.p / 2
