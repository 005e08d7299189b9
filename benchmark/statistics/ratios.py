"""Statistics that are ratios of sums over images: means, fractions, rates, and averages of those."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioStatistic:
    """The sum over images of amounts, divided by the sum of counts, averaged over columns.

    A single column with counts of one is a plain mean. A column per class, with correct predictions as amounts and the
    images of the class as counts, is the balanced accuracy. A column per characteristic is a macro mean.

    Attributes:
        amounts: (N, C); zero where the count is zero.
        counts: (N, C); zero where an image does not count.
        undefined: Number of scores that are not finite and are left out.
        proportion: Whether each amount is 0 or its count, such as right or wrong. The interval is then one that holds
            near 0 and 1 too.
        partial: Whether images may lack a score in one row and have it in another. Such rows are compared on common
            images.
    """

    amounts: NDArray[np.float64]
    counts: NDArray[np.float64]
    undefined: int = 0
    proportion: bool = False
    partial: bool = False

    @property
    def images(self) -> int:
        """Number of images that count."""
        return int((self.counts.sum(axis=1) > 0).sum())

    def equals(self, other: "RatioStatistic") -> bool:
        """Returns whether all numbers of both are equal."""
        mine, theirs = ((ratios.amounts, ratios.counts) for ratios in (self, other))
        same = all(np.array_equal(one, another) for one, another in zip(mine, theirs, strict=True))
        return same and self.undefined == other.undefined


def mean_of_finite(values: NDArray[np.float64], *, proportion: bool = False) -> RatioStatistic:
    """Returns the mean of the finite values of (N,). The others do not count.

    Args:
        values: The values.
        proportion: Whether they are 0 or 1.

    Example:
        >>> mean_of_finite(np.array([1.0, np.nan, 0.0])).images
        2
    """
    finite = np.isfinite(values)
    return RatioStatistic(
        amounts=np.where(finite, values, 0.0)[:, None],
        counts=finite.astype(np.float64)[:, None],
        proportion=proportion,
    )


def mean_ratio(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the mean over the last axis of values / counts, where the count is positive; NaN where none is."""
    if counts.shape[-1] == 1:
        return np.divide(values, counts, out=np.full(values.shape, np.nan), where=counts > 0)[..., 0]
    present = counts > 0
    ratios = np.divide(values, counts, out=np.zeros(values.shape), where=present)
    num_present = present.sum(axis=-1)
    return np.where(num_present > 0, ratios.sum(axis=-1) / np.maximum(num_present, 1), np.nan)
