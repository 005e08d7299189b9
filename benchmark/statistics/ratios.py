"""Statistics that are ratios of sums over images: means, shares, rates, and averages of those."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioStatistic:
    """A statistic of the form: sum over images of amounts, divided by the sum of counts, averaged over columns.

    One column with counts of one is a plain mean; a column per class with the right predictions as amounts and
    the images of the class as counts is the balanced accuracy; a column per characteristic is a macro mean.

    Attributes:
        amounts: (N, C); zero where the count is zero.
        counts: (N, C); zero where an image has no say.
        undefined: How many scores were no number and are left out.
    """

    amounts: NDArray[np.float64]
    counts: NDArray[np.float64]
    undefined: int = 0

    @property
    def images(self) -> int:
        """Number of images that have a say."""
        return int((self.counts.sum(axis=1) > 0).sum())

    def equals(self, other: "RatioStatistic") -> bool:
        """Whether both are the same statistic, number by number."""
        mine, theirs = ((each.amounts, each.counts) for each in (self, other))
        same = all(np.array_equal(one, another) for one, another in zip(mine, theirs, strict=True))
        return same and self.undefined == other.undefined


def mean_of_known(values: NDArray[np.float64]) -> RatioStatistic:
    """Mean of the values (N,) that are numbers; the others have no say.

    Example:
        >>> mean_of_known(np.array([1.0, np.nan, 0.0])).images
        2
    """
    known = np.isfinite(values)
    return RatioStatistic(amounts=np.where(known, values, 0.0)[:, None], counts=known.astype(np.float64)[:, None])


def mean_share(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of values by counts, of those that have any."""
    if counts.shape[-1] == 1:
        return np.divide(values, counts, out=np.full(values.shape, np.nan), where=counts > 0)[..., 0]
    present = counts > 0
    shares = np.divide(values, counts, out=np.zeros(values.shape), where=present)
    number = present.sum(axis=-1)
    return np.where(number > 0, shares.sum(axis=-1) / np.maximum(number, 1), np.nan)
