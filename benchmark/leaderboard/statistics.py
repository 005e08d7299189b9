"""Means with intervals, by a bootstrap that every row and column of a table shares."""

import hashlib
import math
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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

Name = TypeVar("Name", bound=Hashable)
"""Of a column, or of a column of one saliency method."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratios:
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

    def under(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The statistic (B,) under weights of the images (B, N); NaN where no image has a say.

        Example:
            >>> half = Ratios(amounts=np.array([[1.0], [0.0]]), counts=np.ones((2, 1)))
            >>> half.under(np.array([[1.0, 1.0], [3.0, 1.0]]))
            array([0.5 , 0.75])
        """
        return _mean_share(weights @ self.amounts, weights @ self.counts)


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How often each group of images is drawn in each draw of the bootstrap.

    Attributes:
        codes: Number of the group of each image, (N,).
        weights: Counts (B, G); whole groups (patients, lesions) are drawn, with replacement.
    """

    codes: NDArray[np.int64]
    weights: NDArray[np.float64]
    _counts: dict[bytes, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.weights.shape[1]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums (G, C) over the images of each group of values (N, C)."""
        order, starts = self._order
        return np.add.reduceat(values[order], starts, axis=0)

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Images by group, and where each group begins among them."""
        order = np.argsort(self.codes, kind="stable")
        return order, np.searchsorted(self.codes[order], np.arange(self.groups))

    def drawn_counts(self, parts: Mapping[bytes, NDArray[np.float64]]) -> dict[bytes, NDArray[np.float64]]:
        """Sums (B, C) of counts (G, C) in each draw, by what stands for them; those last asked for are kept.

        Counts are whole numbers, so that no order of summing shows in them.
        """
        found = {key: known for key in parts if (known := self._counts.pop(key, None)) is not None}
        new = [key for key in parts if key not in found]
        found |= dict(zip(new, _by_part(self.weights, [parts[key] for key in new]), strict=True))
        self._counts.update(found)
        for key in list(self._counts)[: max(0, len(self._counts) - KEPT_COUNTS)]:
            del self._counts[key]
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """What a statistic's error is made of, so that it can be set against another's.

    A statistic is the sum of its groups' shares. Its linearised error in a group is the share less what the mean
    would give a group of that size (the influence of the group; for a plain mean over groups of equal size, the
    group's mean less the whole one, over the number of groups).

    Attributes:
        share: What each group adds to the value, (G,); mean over the seeds.
        expected: What it would add if its images scored like all others, (G,).
        said: Which groups have a say, (G,).
        groups: Effective number of groups: all of them if they are of equal size, fewer if not.
        seeds: Number of training seeds.
        seed_variance: Of the mean over the seeds; 0 for a single one, whose variance nobody knows.
        counts: Stands for which images have a say, and how much.
    """

    share: NDArray[np.float32]
    expected: NDArray[np.float32]
    said: NDArray[np.bool_]
    groups: float
    seeds: int
    seed_variance: float
    counts: int

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
    spread: Spread


def resampling(groups: Sequence[str]) -> Resampling:
    """The draws of the bootstrap, the same for the same groups.

    Args:
        groups: The group (patient, lesion) of each image, (N,).
    """
    codes, _ = pd.factorize(np.asarray(groups, dtype=object), sort=True)
    number = int(codes.max(initial=-1)) + 1
    drawn = np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), size=DRAWS)
    return Resampling(codes=codes.astype(np.int64), weights=drawn.astype(np.float64))


def estimate(
    seeds: Sequence[Ratios], draws: Resampling, *, row: str = "", bounds: tuple[float, float] = ANY
) -> Estimate:
    """One statistic of one row; see :func:`estimates`."""
    return estimates({"": seeds}, draws, row=row, bounds={"": bounds})[""]


def estimates(
    columns: Mapping[Name, Sequence[Ratios]],
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
        columns: By name of the column, the statistic of each training seed, over the same images. What is equal is
            drawn once, such as the diagnosis, which stands in the table of every saliency method.
        draws: From :func:`resampling`.
        row: Name of the row; seeds are drawn row by row, since those of two networks have nothing in common.
        bounds: Range of each column; no interval leaves it.

    Reference:
        Hesterberg, What teachers should know about the bootstrap, The American Statistician 69, 2015, sections 3.3
        and 4.3 (percentile intervals are too short in small samples; the two factors); Cameron and Miller, A
        practitioner's guide to cluster-robust inference, Journal of Human Resources 50, 2015, section VI (few
        clusters); Carter, Schnepel and Steigerwald, Review of Economics and Statistics 99, 2017 (unequal ones).
    """
    grouped = {
        name: tuple(Ratios(amounts=draws.sums(r.amounts), counts=draws.sums(r.counts)) for r in seeds)
        for name, seeds in columns.items()
    }
    alike = {name: tuple(_digest(ratios) for ratios in seeds) for name, seeds in grouped.items()}
    distinct = {alike[name]: seeds for name, seeds in grouped.items()}
    drawn, spreads = _drawn(distinct, draws, row), {key: _spread(seeds) for key, seeds in distinct.items()}
    factors = [stretch([spread]) for spread, _ in spreads.values()]
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
            images=max(ratios.images for ratios in seeds),
            undefined=sum(ratios.undefined for ratios in seeds),
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


def stretch(spreads: Sequence[Spread]) -> float:
    """Factor that mends a percentile interval of a statistic, or of the difference of two; NaN for a single group."""
    return stretch_of(*error_parts(spreads))


def stretch_of(groups: float, between: float, seeds: float, freedom: float) -> float:
    """:func:`stretch` from what :func:`error_parts` found."""
    if groups <= 1:
        return np.nan
    if between + seeds <= 0:
        return 1.0
    drawn = between * (groups - 1) / groups + seeds
    return float(stdtrit(freedom, (1 + LEVEL) / 2) / NORMAL * np.sqrt((between + seeds) / drawn))


def error_parts(spreads: Sequence[Spread]) -> tuple[float, float, float, float]:
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


def _digest(ratios: Ratios) -> bytes:
    """Stands for the sums of a statistic."""
    shape = repr(ratios.amounts.shape).encode()
    return hashlib.blake2b(shape + ratios.amounts.tobytes() + ratios.counts.tobytes(), digest_size=16).digest()


def _drawn(
    columns: Mapping[tuple[bytes, ...], Sequence[Ratios]], draws: Resampling, row: str
) -> dict[tuple[bytes, ...], NDArray[np.float64]]:
    """Each statistic in each draw, (B,), seeds drawn too: one product for all sums of amounts."""
    parts = [ratios for seeds in columns.values() for ratios in seeds]
    keys = [hashlib.blake2b(ratios.counts.tobytes(), digest_size=16).digest() for ratios in parts]
    # A column of one number per group and one of two are told apart by the number of their bytes.
    counts = draws.drawn_counts({key: ratios.counts for key, ratios in zip(keys, parts, strict=True)})
    values = _by_part(draws.weights, [ratios.amounts for ratios in parts])
    replicates = iter([_mean_share(value, counts[key]) for value, key in zip(values, keys, strict=True)])
    shares = {number: _seed_shares(number, row) for number in {len(seeds) for seeds in columns.values()}}
    return {
        name: (np.stack([next(replicates) for _ in seeds], axis=1) * shares[len(seeds)]).sum(axis=1)
        for name, seeds in columns.items()
    }


def _by_part(weights: NDArray[np.float64], parts: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    if not parts:
        return []
    edges = np.cumsum([part.shape[1] for part in parts])[:-1]
    return np.split(weights @ np.concatenate(parts, axis=1), edges, axis=1)


def _spread(seeds: Sequence[Ratios]) -> tuple[Spread, float]:
    """Spread and value from the sums by group of each seed."""
    shares, expected, values = [], [], []
    for ratios in seeds:
        whole = ratios.counts.sum(axis=0)
        present = whole > 0
        number = max(int(present.sum()), 1)
        scale = np.divide(1.0, whole, out=np.zeros(len(whole)), where=present) / number
        means = ratios.amounts.sum(axis=0) * scale * number
        shares.append(ratios.amounts @ scale)
        expected.append(ratios.counts @ (means * scale))
        values.append(float(_mean_share(ratios.amounts.sum(axis=0), whole)))
    size = np.mean([ratios.counts.sum(axis=1) for ratios in seeds], axis=0)
    spread = Spread(
        share=np.mean(shares, axis=0).astype(np.float32),
        expected=np.mean(expected, axis=0).astype(np.float32),
        said=size > 0,
        groups=float(size.sum() ** 2 / (size**2).sum()) if size.any() else 0.0,
        seeds=len(seeds),
        seed_variance=float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0,
        counts=zlib.crc32(b"".join(ratios.counts.tobytes() for ratios in (seeds[:1] if _same(seeds) else seeds))),
    )
    return spread, float(np.mean(values))


def _same(seeds: Sequence[Ratios]) -> bool:
    return all(np.array_equal(ratios.counts, seeds[0].counts) for ratios in seeds[1:])


def _seed_shares(number: int, row: str) -> NDArray[np.float64]:
    """Weight of each seed in each draw, (B, S), spread so that the variance of their mean is not understated."""
    if number == 1:
        return np.ones((DRAWS, 1))
    rng = np.random.default_rng([1, zlib.crc32(row.encode())])
    shares = rng.multinomial(number, np.full(number, 1 / number), size=DRAWS) / number
    return 1 / number + np.sqrt(number / (number - 1)) * (shares - 1 / number)
