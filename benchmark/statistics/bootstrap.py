"""Means with intervals, by a bootstrap that every row and column of a table shares."""

import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.intervals import ErrorComponents, intervals, small_sample_factor
from benchmark.statistics.ratios import RatioStatistic, mean_share
from benchmark.statistics.resampling import DRAWS, Grouped, Resampling, effective_groups

Name = TypeVar("Name", bound=Hashable)
"""Of a column, or of a column of one saliency method."""


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


def _drawn(columns: Mapping[Name, Sequence[Grouped]], draws: Resampling, row: str) -> dict[Name, NDArray[np.float64]]:
    """Each statistic in each draw, (B,), seeds drawn too: the sums of all amounts together."""
    parts = [grouped for seeds in columns.values() for grouped in seeds]
    counts = draws.drawn_counts(grouped.counts for grouped in parts)
    values = draws.drawn([grouped.amounts for grouped in parts])
    replicates = iter(
        [mean_share(value.T, counts[grouped.counts.key].T) for value, grouped in zip(values, parts, strict=True)]
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
        values.append(float(mean_share(sums, whole)))
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
        groups=effective_groups(size),
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
