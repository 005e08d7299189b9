"""Bootstrap draws of whole groups of images (patients, lesions), which all rows and columns share."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.statistics.ratios import RatioStatistic

DRAWS = 2000
MAX_CACHED_COUNTS = 64
"""Maximum number of cached sums of counts. Most rows have scores of the same images, and share them."""
MIN_SHORTENED_BYTES = 2**16
"""Minimum size of counts that are shortened before they are hashed. Of smaller ones, that would take longer."""
MAX_PRODUCT_SIZE = 2**25
"""Maximum number of sums over groups that are multiplied with the draws at once: 256 MB."""

Cached = TypeVar("Cached")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Counts:
    """Counts of :class:`RatioStatistic`, summed over the images of each group. Equal counts are shared.

    Attributes:
        by_group: (C, G), whole numbers.
        sizes: Their sums over the columns, (G,).
        has_images: Which groups have images that count, (G,).
        images: Number of images that count.
        key: Digest of the values.
        by_image: Counts of each image, (N, C).
        image_key: Digest of these. Other images of the same groups have another one.
    """

    by_group: NDArray[np.float64]
    sizes: NDArray[np.float64]
    has_images: NDArray[np.bool_]
    images: int
    key: bytes
    by_image: NDArray[np.float32]
    image_key: bytes


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grouped:
    """:class:`RatioStatistic`, summed over the images of each group. An estimate needs no more.

    Attributes:
        amounts: (C, G).
        counts: Counts of the same columns.
        common: Whether an earlier statistic had the same counts.
        undefined: Number of scores that are not finite and are left out.
        proportion: As in :class:`RatioStatistic`.
        by_image: Amounts of each image, (N, C), of a partial statistic; else None.
        codes: Index of the group of each image, (N,).
    """

    amounts: NDArray[np.float64]
    counts: Counts
    common: bool
    undefined: int
    proportion: bool
    by_image: NDArray[np.float32] | None
    codes: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """The number of times that each draw of the bootstrap contains each group of images.

    Attributes:
        codes: Index of the group of each image, (N,).
        weights: Numbers of times (B, G). Whole groups (patients, lesions) are drawn, with replacement.
        num_stored: Number of draws, the first ones, that each estimate stores. Its intervals come from all draws.
    """

    codes: NDArray[np.int64]
    weights: NDArray[np.float64]
    num_stored: int = DRAWS
    _counts: dict[bytes, Counts] = field(default_factory=dict, init=False, repr=False, compare=False)
    _drawn: dict[bytes, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.weights.shape[1]

    @cached_property
    def stored(self) -> "Resampling":
        """The draws that each estimate stores, with sums of their own."""
        return replace(self, weights=self.weights[: self.num_stored])

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Computes the sums (C, G) of values (N, C) over the images of each group."""
        if values.shape[1] == 1:
            sums = np.bincount(self.codes, weights=values[:, 0], minlength=self.groups)
            return np.asarray(sums, dtype=np.float64)[None]
        return np.stack([np.bincount(self.codes, weights=column, minlength=self.groups) for column in values.T])

    def grouped(self, ratios: RatioStatistic) -> Grouped:
        """Sums a statistic over the images of each group."""
        key = _digest(ratios.counts)
        cached = self._counts.pop(key, None)
        counts = cached or self._sum_counts(ratios, key)
        _cache(self._counts, {key: counts})
        return Grouped(
            amounts=self.sums(ratios.amounts),
            counts=counts,
            common=cached is not None,
            undefined=ratios.undefined,
            proportion=ratios.proportion,
            by_image=ratios.amounts.astype(np.float32) if ratios.partial else None,
            codes=self.codes,
        )

    def _sum_counts(self, ratios: RatioStatistic, key: bytes) -> Counts:
        by_group = self.sums(ratios.counts)
        sizes = by_group.sum(axis=0)
        return Counts(
            by_group=by_group,
            sizes=sizes,
            has_images=sizes > 0,
            images=ratios.images,
            key=_digest(by_group),
            by_image=ratios.counts.astype(np.float32),
            image_key=key,
        )

    def drawn(self, parts: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Computes the sums (C, B) in each draw from sums by group (C, G), in the order of the parts."""
        # Few products of many rows, since each product reads all weights.
        sums: list[NDArray[np.float64]] = []
        max_rows = max(1, MAX_PRODUCT_SIZE // max(1, self.groups))
        ends = np.cumsum([0, *(len(part) for part in parts)])
        while (start := len(sums)) < len(parts):
            stop = max(start + 1, int(np.searchsorted(ends, ends[start] + max_rows, side="right")) - 1)
            product = np.concatenate(parts[start:stop]) @ self.weights.T
            sums += np.split(product, ends[start + 1 : stop] - ends[start])
        return sums

    def drawn_counts(self, parts: Iterable[Counts]) -> dict[bytes, NDArray[np.float64]]:
        """Computes the sums (C, B) of counts in each draw, by key, and caches the latest.

        Counts are whole numbers, so their sums are exact and do not depend on the order of summation.
        """
        by_key = {counts.key: counts.by_group for counts in parts}
        sums = {key: cached for key in by_key if (cached := self._drawn.pop(key, None)) is not None}
        new = [key for key in by_key if key not in sums]
        sums |= dict(zip(new, self.drawn([by_key[key] for key in new]), strict=True))
        _cache(self._drawn, sums)
        return sums


def resampling(groups: Sequence[str]) -> Resampling:
    """Returns the draws of the bootstrap. The same groups give the same draws.

    Args:
        groups: The group (patient, lesion) of each image, (N,).
    """
    codes, _ = pd.factorize(np.asarray(groups, dtype=object), sort=True)
    num_groups = int(codes.max(initial=-1)) + 1
    rng, probabilities = np.random.default_rng(0), np.full(num_groups, 1 / num_groups)
    weights = np.empty((DRAWS, num_groups))
    for draw in weights:
        draw[:] = rng.multinomial(num_groups, probabilities)
    return Resampling(codes=codes.astype(np.int64), weights=weights)


def effective_groups(sizes: NDArray[np.float64]) -> float:
    """Computes the effective number of groups of sizes (G,): G for equal sizes, smaller otherwise, 0 for no images.

    This is Kish's effective sample size.

    Example:
        >>> effective_groups(np.array([2.0, 2.0, 2.0])), effective_groups(np.array([4.0, 1.0, 1.0]))
        (3.0, 2.0)
    """
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0


def _digest(counts: NDArray[np.float64]) -> bytes:
    """Returns a digest of counts. Many whole numbers that fit into fewer bytes are hashed as such, which is faster."""
    content: NDArray[np.generic] = counts
    if counts.nbytes >= MIN_SHORTENED_BYTES:
        small = counts.astype(np.uint8 if counts.max(initial=0) < 256 else np.uint32)
        content = small if np.array_equal(small, counts) else counts
    form = f"{content.shape} {content.dtype.char}".encode()
    return hashlib.blake2b(form + content.tobytes(), digest_size=16).digest()


def _cache(cache: dict[bytes, Cached], items: Mapping[bytes, Cached]) -> None:
    """Adds the latest items to a cache and drops the least recently used ones."""
    cache.update(items)
    for key in list(cache)[: max(0, len(cache) - MAX_CACHED_COUNTS)]:
        del cache[key]
