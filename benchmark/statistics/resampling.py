"""Drawing whole groups of images (patients, lesions) with replacement: the draws that every row and column shares."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.statistics.ratios import RatioStatistic

DRAWS = 2000
KEPT_COUNTS = 64
"""So many sums of counts are kept from row to row: most rows have a say of the same images."""
PRODUCT = 2**25
"""So many sums over groups are multiplied with the draws at once: 256 MB."""

Kept = TypeVar("Kept")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Counts:
    """Counts of :class:`RatioStatistic`, summed over the images of each group. Equal counts are shared.

    Attributes:
        by_group: (C, G), whole numbers.
        sizes: Their sums over the columns, (G,).
        said: Which groups have a say, (G,).
        images: Number of images that have a say.
        key: Stands for the values.
    """

    by_group: NDArray[np.float64]
    sizes: NDArray[np.float64]
    said: NDArray[np.bool_]
    images: int
    key: bytes


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grouped:
    """:class:`RatioStatistic`, summed over the images of each group: all that an estimate needs to know of them.

    Attributes:
        amounts: (C, G).
        counts: Of as many columns.
        common: Whether another statistic had the same counts before.
        undefined: How many scores were no number and are left out.
    """

    amounts: NDArray[np.float64]
    counts: Counts
    common: bool
    undefined: int


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How often each group of images is drawn in each draw of the bootstrap.

    Attributes:
        codes: Number of the group of each image, (N,).
        weights: Counts (B, G); whole groups (patients, lesions) are drawn, with replacement.
    """

    codes: NDArray[np.int64]
    weights: NDArray[np.float64]
    _counts: dict[bytes, Counts] = field(default_factory=dict, init=False, repr=False, compare=False)
    _drawn: dict[bytes, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.weights.shape[1]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums (C, G) over the images of each group of values (N, C)."""
        return np.stack([np.bincount(self.codes, weights=column, minlength=self.groups) for column in values.T])

    def grouped(self, ratios: RatioStatistic) -> Grouped:
        """A statistic, summed over the images of each group."""
        key = _digest(ratios.counts)
        known = self._counts.pop(key, None)
        counts = known or self._counted(ratios)
        _keep(self._counts, {key: counts})
        return Grouped(
            amounts=self.sums(ratios.amounts), counts=counts, common=known is not None, undefined=ratios.undefined
        )

    def _counted(self, ratios: RatioStatistic) -> Counts:
        by_group = self.sums(ratios.counts)
        sizes = by_group.sum(axis=0)
        return Counts(by_group=by_group, sizes=sizes, said=sizes > 0, images=ratios.images, key=_digest(by_group))

    def drawn(self, parts: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Sums (C, B) in each draw of sums by group (C, G): few products of many rows, since each reads all weights."""
        found: list[NDArray[np.float64]] = []
        most = max(1, PRODUCT // max(1, self.groups))
        ends = np.cumsum([0, *(len(part) for part in parts)])
        while (start := len(found)) < len(parts):
            stop = max(start + 1, int(np.searchsorted(ends, ends[start] + most, side="right")) - 1)
            product = np.concatenate(parts[start:stop]) @ self.weights.T
            found += np.split(product, ends[start + 1 : stop] - ends[start])
        return found

    def drawn_counts(self, parts: Iterable[Counts]) -> dict[bytes, NDArray[np.float64]]:
        """Sums (C, B) of counts in each draw, by what stands for them; those last asked for are kept.

        Counts are whole numbers, so that no order of summing shows in them.
        """
        asked = {counts.key: counts.by_group for counts in parts}
        found = {key: known for key in asked if (known := self._drawn.pop(key, None)) is not None}
        new = [key for key in asked if key not in found]
        found |= dict(zip(new, self.drawn([asked[key] for key in new]), strict=True))
        _keep(self._drawn, found)
        return found


def resampling(groups: Sequence[str]) -> Resampling:
    """The draws of the bootstrap, the same for the same groups.

    Args:
        groups: The group (patient, lesion) of each image, (N,).
    """
    codes, _ = pd.factorize(np.asarray(groups, dtype=object), sort=True)
    number = int(codes.max(initial=-1)) + 1
    rng, shares = np.random.default_rng(0), np.full(number, 1 / number)
    weights = np.empty((DRAWS, number))
    for draw in weights:
        draw[:] = rng.multinomial(number, shares)
    return Resampling(codes=codes.astype(np.int64), weights=weights)


def effective_groups(sizes: NDArray[np.float64]) -> float:
    """Effective number of groups of these sizes (G,): all of them if they are of equal size, fewer if not.

    Example:
        >>> effective_groups(np.array([2.0, 2.0, 2.0])), effective_groups(np.array([4.0, 1.0, 1.0]))
        (3.0, 2.0)
    """
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0


def _digest(counts: NDArray[np.float64]) -> bytes:
    """Stands for counts, whole numbers as they are: most fit into a byte, which is read sooner."""
    small = counts.astype(np.uint8 if counts.max(initial=0) < 256 else np.uint32)
    told = small if np.array_equal(small, counts) else counts
    return hashlib.blake2b(f"{told.shape} {told.dtype}".encode() + told.tobytes(), digest_size=16).digest()


def _keep(known: dict[bytes, Kept], more: Mapping[bytes, Kept]) -> None:
    """Adds what was last asked for, and drops what was not asked for the longest."""
    known.update(more)
    for key in list(known)[: max(0, len(known) - KEPT_COUNTS)]:
        del known[key]
