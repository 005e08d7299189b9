"""Means with intervals, by a bootstrap that every row and column of a table shares."""

import hashlib
import math
import zlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

DRAWS = 2000
LEVEL = 0.95
NORMAL = 1.959963984540054
"""Quantile of the normal distribution for :data:`LEVEL`."""
ANY = (-np.inf, np.inf)
KEPT_COUNTS = 64
"""So many sums of counts are kept from row to row: most rows have a say of the same images."""
PRODUCT = 2**25
"""So many sums over groups are multiplied with the draws at once: 256 MB."""

Name = TypeVar("Name", bound=Hashable)
"""Of a column, or of a column of one saliency method."""
Kept = TypeVar("Kept")


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

    def under(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The statistic (B,) under weights of the images (B, N); NaN where no image has a say.

        Example:
            >>> half = RatioStatistic(amounts=np.array([[1.0], [0.0]]), counts=np.ones((2, 1)))
            >>> half.under(np.array([[1.0, 1.0], [3.0, 1.0]]))
            array([0.5 , 0.75])
        """
        return _mean_share(weights @ self.amounts, weights @ self.counts)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Counts:
    """Counts of :class:`RatioStatistic`, summed over the images of each group; statistics with the same ones share them.

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


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorComponents:
    """What a statistic's error is made of, so that it can be set against another's.

    A statistic is the sum of its groups' shares. Its linearized error in a group is the share less what the mean
    would give a group of that size (the influence of the group; for a plain mean over groups of equal size, the
    group's mean less the whole one, over the number of groups).

    Attributes:
        share: What each group adds to the value, (G,); mean over the seeds.
        counts: What has a say in each group, (C, G); statistics with the same counts share them.
        rates: What one of these counts adds if its images score like all others, (C,).
        said: Which groups have a say, (G,).
        groups: Effective number of groups: all of them if they are of equal size, fewer if not.
        seeds: Number of training seeds.
        seed_variance: Of the mean over the seeds; 0 for a single one, whose variance nobody knows.
        key: Stands for which images have a say, and how much.
    """

    share: NDArray[np.float32]
    counts: NDArray[np.floating]
    rates: NDArray[np.float64]
    said: NDArray[np.bool_]
    groups: float
    seeds: int
    seed_variance: float
    key: int

    @property
    def expected(self) -> NDArray[np.float32]:
        """What each group would add if its images scored like all others, (G,)."""
        return (self.rates @ self.counts).astype(np.float32)

    @property
    def influence(self) -> NDArray[np.float64]:
        """Linearised error by group, (G,); sums to 0."""
        return self.share.astype(np.float64) - self.expected


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        value: Mean over the seeds of the statistic.
        low: Lower end of the interval; NaN where a single group leaves no way to tell.
        high: Upper end.
        images: Number of images that have a say, per seed.
        undefined: Scores that were no number, over all seeds.
        draws: The statistic in each draw of the bootstrap, (B,).
        spread: What its error is made of.
    """

    value: float
    low: float
    high: float
    images: int
    undefined: int
    draws: NDArray[np.float32]
    spread: ErrorComponents


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


def estimate(
    seeds: Sequence[RatioStatistic], draws: Resampling, *, row: str = "", bounds: tuple[float, float] = ANY
) -> Estimate:
    """One statistic of one row; see :func:`estimates`."""
    return estimates({"": seeds}, draws, row=row, bounds={"": bounds})[""]


def estimates(
    columns: Mapping[Name, Sequence[RatioStatistic | Grouped]],
    draws: Resampling,
    *,
    row: str,
    bounds: Mapping[Name, tuple[float, float]],
) -> dict[Name, Estimate]:
    """Means over seeds with hierarchical bootstrap intervals: seeds are drawn first, then groups of images.

    Percentile intervals of a cluster bootstrap are too short where groups or seeds are few. Each end is therefore
    moved away from the value by the two standard corrections: the variance between G groups is multiplied by
    G / (G - 1), and the normal quantile gives way to Student's (Satterthwaite's degrees of freedom from groups and
    seeds). Likewise the draws of s seeds are spread by sqrt(s / (s - 1)). Groups of unequal size count as fewer.

    Args:
        columns: By name of the column, the statistic of each training seed, over the same images. An object that
            stands under several names is drawn once, such as the diagnosis in the table of every saliency method.
        draws: From :func:`resampling`.
        row: Name of the row; seeds are drawn row by row, since those of two networks have nothing in common.
        bounds: Range of each column; no interval leaves it.

    Reference:
        Hesterberg, What teachers should know about the bootstrap, The American Statistician 69, 2015, sections 3.3
        and 4.3 (percentile intervals are too short in small samples; the two factors); Cameron and Miller, A
        practitioner's guide to cluster-robust inference, Journal of Human Resources 50, 2015, section VI (few
        clusters); Carter, Schnepel and Steigerwald, Review of Economics and Statistics 99, 2017 (unequal ones).
    """
    alike = {name: tuple(map(id, seeds)) for name, seeds in columns.items()}
    distinct = {
        key: [each if isinstance(each, Grouped) else draws.grouped(each) for each in seeds]
        for key, seeds in {alike[name]: seeds for name, seeds in columns.items()}.items()
    }
    drawn, spreads = _drawn(distinct, draws, row), {key: _spread(seeds) for key, seeds in distinct.items()}
    factors = [small_sample_factor([spread]) for spread, _ in spreads.values()]
    ends = intervals([value for _, value in spreads.values()], list(drawn.values()), factors)
    ends_of = dict(zip(distinct, ends, strict=True))
    kept = {key: each.astype(np.float32) for key, each in drawn.items()}
    found = {}
    for name, seeds in columns.items():
        spread, value = spreads[alike[name]]
        low, high = ends_of[alike[name]]
        least, most = bounds[name]
        found[name] = Estimate(
            value=value,
            low=max(low, least) if np.isfinite(low) else low,
            high=min(high, most) if np.isfinite(high) else high,
            images=max(each.counts.images for each in distinct[alike[name]]),
            undefined=sum(each.undefined for each in seeds),
            draws=kept[alike[name]],
            spread=spread,
        )
    return found


def interval(value: float, draws: NDArray[np.floating], factor: float) -> tuple[float, float]:
    """Ends of the percentile interval, moved away from the value by a factor; turned about where signs are turned."""
    return intervals([value], [draws], [factor])[0]


def intervals(
    values: Sequence[float], draws: Sequence[NDArray[np.floating]], factors: Sequence[float]
) -> list[tuple[float, float]]:
    """:func:`interval` of many statistics; those without a missing draw are sorted together."""
    found = [(np.nan, np.nan)] * len(values)
    together: dict[int, list[int]] = {}
    known = [_known(each) for each in draws]
    for place, each in enumerate(known):
        if len(each) and np.isfinite(factors[place]) and np.isfinite(values[place]):
            together.setdefault(len(each), []).append(place)
    tail = (1 - LEVEL) / 2
    for places in together.values():
        ordered = np.sort(np.stack([known[place] for place in places]), axis=1)
        ends = np.quantile(ordered, tail, axis=1), -np.quantile(-ordered[:, ::-1], tail, axis=1)
        for place, low, high in zip(places, *(end.tolist() for end in ends), strict=True):
            value, factor = values[place], factors[place]
            found[place] = (float(value + factor * (low - value)), float(value + factor * (high - value)))
    return found


def _known(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """Draws that are numbers."""
    finite = np.isfinite(draws)
    return (draws if finite.all() else draws[finite]).astype(np.float64, copy=False)


def small_sample_factor(spreads: Sequence[ErrorComponents]) -> float:
    """Factor that mends a percentile interval of a statistic, or of the difference of two; NaN for a single group."""
    return small_sample_factor_from(*error_parts(spreads))


def small_sample_factor_from(groups: float, between: float, seeds: float, freedom: float) -> float:
    """:func:`small_sample_factor` from what :func:`error_parts` found."""
    if groups <= 1:
        return np.nan
    if between + seeds <= 0:
        return 1.0
    drawn = between * (groups - 1) / groups + seeds
    return float(stdtrit(freedom, (1 + LEVEL) / 2) / NORMAL * np.sqrt((between + seeds) / drawn))


def error_parts(spreads: Sequence[ErrorComponents]) -> tuple[float, float, float, float]:
    """Error of a statistic, or of the first one less the second.

    Returns:
        Effective number of groups, variance between groups, variance between seeds, and degrees of freedom.
    """
    influence = spreads[0].influence - (spreads[1].influence if len(spreads) > 1 else 0.0)
    groups = min(spread.groups for spread in spreads)
    between = float(influence @ influence) * groups / (groups - 1) if groups > 1 else np.nan
    parts = [(between, groups - 1)] + [(spread.seed_variance, spread.seeds - 1) for spread in spreads]
    # math.fsum: the order of the two rows must not show in the last digit.
    total = math.fsum(variance for variance, _ in parts)
    against = math.fsum(variance**2 / freedom for variance, freedom in parts if freedom > 0 and variance > 0)
    freedom = total**2 / against if against > 0 else groups - 1
    return groups, between, total - between, max(freedom, 1.0)


def _mean_share(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of values by counts, of those that have any."""
    if counts.shape[-1] == 1:
        return np.divide(values, counts, out=np.full(values.shape, np.nan), where=counts > 0)[..., 0]
    present = counts > 0
    shares = np.divide(values, counts, out=np.zeros(values.shape), where=present)
    number = present.sum(axis=-1)
    return np.where(number > 0, shares.sum(axis=-1) / np.maximum(number, 1), np.nan)


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


def _drawn(columns: Mapping[Name, Sequence[Grouped]], draws: Resampling, row: str) -> dict[Name, NDArray[np.float64]]:
    """Each statistic in each draw, (B,), seeds drawn too: the sums of all amounts together."""
    parts = [grouped for seeds in columns.values() for grouped in seeds]
    counts = draws.drawn_counts(grouped.counts for grouped in parts)
    values = draws.drawn([grouped.amounts for grouped in parts])
    replicates = iter(
        [_mean_share(value.T, counts[grouped.counts.key].T) for value, grouped in zip(values, parts, strict=True)]
    )
    shares = {number: _seed_shares(number, row) for number in {len(seeds) for seeds in columns.values()}}
    return {
        name: (np.stack([next(replicates) for _ in seeds], axis=1) * shares[len(seeds)]).sum(axis=1)
        for name, seeds in columns.items()
    }


def _spread(seeds: Sequence[Grouped]) -> tuple[ErrorComponents, float]:
    """Spread and value from the sums by group of each seed."""
    shares, rates, values = [], [], []
    for grouped in seeds:
        whole, sums = grouped.counts.by_group.sum(axis=1), grouped.amounts.sum(axis=1)
        present = whole > 0
        number = max(int(present.sum()), 1)
        scale = np.divide(1.0, whole, out=np.zeros(len(whole)), where=present) / number
        shares.append(scale @ grouped.amounts)
        rates.append(sums * scale * number * scale)
        values.append(float(_mean_share(sums, whole)))
    counts = [grouped.counts for grouped in seeds]
    size = np.mean([each.sizes for each in counts], axis=0)
    same = all(each.key == counts[0].key for each in counts)
    # Counts that nobody shares, of several columns and seeds as they may be, are worth a sum each and no more.
    shared = same and any(grouped.common for grouped in seeds)
    expected = [rate @ each.by_group for rate, each in zip(rates, counts, strict=True)] if not shared else []
    spread = ErrorComponents(
        share=np.mean(shares, axis=0).astype(np.float32),
        counts=counts[0].by_group if shared else np.mean(expected, axis=0, keepdims=True).astype(np.float32),
        rates=np.mean(rates, axis=0) if shared else np.ones(1),
        said=counts[0].said if shared else size > 0,
        groups=float(size.sum() ** 2 / (size**2).sum()) if size.any() else 0.0,
        seeds=len(seeds),
        seed_variance=float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0,
        key=zlib.crc32(b"".join(each.key for each in (counts[:1] if same else counts))),
    )
    return spread, float(np.mean(values))


def _seed_shares(number: int, row: str) -> NDArray[np.float64]:
    """Weight of each seed in each draw, (B, S), spread so that the variance of their mean is not understated."""
    if number == 1:
        return np.ones((DRAWS, 1))
    rng = np.random.default_rng([1, zlib.crc32(row.encode())])
    shares = rng.multinomial(number, np.full(number, 1 / number), size=DRAWS) / number
    return 1 / number + np.sqrt(number / (number - 1)) * (shares - 1 / number)
