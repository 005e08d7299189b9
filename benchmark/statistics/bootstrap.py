"""Means with intervals, by a bootstrap that all rows and columns of a table share."""

import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.intervals import ErrorComponents, intervals, small_sample_factor
from benchmark.statistics.ratios import RatioStatistic, mean_ratio
from benchmark.statistics.resampling import DRAWS, Grouped, Resampling, effective_groups

Name = TypeVar("Name", bound=Hashable)
"""Name of a column, or saliency method and name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        value: Mean of the statistic over the seeds.
        low: Lower end of the interval; NaN for a single group.
        high: Upper end.
        images: Number of images that count, per seed.
        undefined: Number of scores that are not finite, over all seeds.
        draws: The statistic in each draw of the bootstrap, (B,).
        error: Components of its error.
    """

    value: float
    low: float
    high: float
    images: int
    undefined: int
    draws: NDArray[np.float32]
    error: ErrorComponents


def estimates(
    columns: Mapping[Name, Sequence[RatioStatistic | Grouped]],
    draws: Resampling,
    *,
    row: str,
    bounds: Mapping[Name, tuple[float, float]],
) -> dict[Name, Estimate]:
    """Computes means over seeds with hierarchical bootstrap intervals: seeds are drawn first, then groups of images.

    Percentile intervals of a cluster bootstrap are too short where groups or seeds are few. Two standard corrections
    therefore move each end away from the value. The variance between G groups is multiplied by G / (G - 1). Student's
    quantile replaces the normal one (Satterthwaite's degrees of freedom from groups and seeds). Likewise the deviations
    of the draws of s seeds are multiplied by sqrt(s / (s - 1)). Groups of unequal size count as fewer.

    Args:
        columns: By name of the column, the statistic of each training seed, over the same images. An object that
            occurs under several names is drawn once, such as the classification in the table of every saliency method.
        draws: From :func:`resampling`.
        row: Name of the row. Seeds are drawn row by row, since seeds of two networks are unrelated.
        bounds: Range of each column; no interval leaves it.

    Reference:
        Hesterberg, What teachers should know about the bootstrap, The American Statistician 69, 2015, sections 3.3
        and 4.3 (percentile intervals are too short in small samples; the two factors); Cameron and Miller, A
        practitioner's guide to cluster-robust inference, Journal of Human Resources 50, 2015, section VI (few
        clusters); Carter, Schnepel and Steigerwald, Review of Economics and Statistics 99, 2017 (unequal ones).
    """
    # Equal objects get equal keys, so that each distinct statistic is drawn once.
    keys = {name: tuple(map(id, seeds)) for name, seeds in columns.items()}
    distinct = {
        key: [seed if isinstance(seed, Grouped) else draws.grouped(seed) for seed in seeds]
        for key, seeds in {keys[name]: seeds for name, seeds in columns.items()}.items()
    }
    drawn = _draw_statistics(distinct, draws, row)
    errors = {key: _error_components(seeds) for key, seeds in distinct.items()}
    factors = [small_sample_factor([error]) for error, _ in errors.values()]
    ends = intervals([value for _, value in errors.values()], list(drawn.values()), factors)
    ends_by_key = dict(zip(distinct, ends, strict=True))
    stored_draws = {key: values.astype(np.float32) for key, values in drawn.items()}
    results = {}
    for name, seeds in columns.items():
        error, value = errors[keys[name]]
        low, high = ends_by_key[keys[name]]
        lower_bound, upper_bound = bounds[name]
        results[name] = Estimate(
            value=value,
            low=max(low, lower_bound) if np.isfinite(low) else low,
            high=min(high, upper_bound) if np.isfinite(high) else high,
            images=max(seed.counts.images for seed in distinct[keys[name]]),
            undefined=sum(seed.undefined for seed in seeds),
            draws=stored_draws[keys[name]],
            error=error,
        )
    return results


def _draw_statistics(
    columns: Mapping[Name, Sequence[Grouped]], draws: Resampling, row: str
) -> dict[Name, NDArray[np.float64]]:
    """Computes each statistic in each draw, (B,), with drawn seeds. All amounts are summed in one call."""
    parts = [grouped for seeds in columns.values() for grouped in seeds]
    counts = draws.drawn_counts(grouped.counts for grouped in parts)
    values = draws.drawn([grouped.amounts for grouped in parts])
    replicates = iter(
        [mean_ratio(value.T, counts[grouped.counts.key].T) for value, grouped in zip(values, parts, strict=True)]
    )
    weights = {num_seeds: _seed_weights(num_seeds, row) for num_seeds in {len(seeds) for seeds in columns.values()}}
    return {
        name: (np.stack([next(replicates) for _ in seeds], axis=1) * weights[len(seeds)]).sum(axis=1)
        for name, seeds in columns.items()
    }


def _error_components(seeds: Sequence[Grouped]) -> tuple[ErrorComponents, float]:
    """Computes error components and value from the sums by group of each seed."""
    contributions, rates, values = [], [], []
    for grouped in seeds:
        total, sums = grouped.counts.by_group.sum(axis=1), grouped.amounts.sum(axis=1)
        present = total > 0
        num_columns = max(int(present.sum()), 1)
        scale = np.divide(1.0, total, out=np.zeros(len(total)), where=present) / num_columns
        contributions.append(scale @ grouped.amounts)
        rates.append(sums * scale * num_columns * scale)
        values.append(float(mean_ratio(sums, total)))
    counts = [grouped.counts for grouped in seeds]
    size = np.mean([seed_counts.sizes for seed_counts in counts], axis=0)
    same = all(seed_counts.key == counts[0].key for seed_counts in counts)
    # Shared counts are stored as they are, at no cost. Others are reduced to the one sum that is needed of them.
    shared = same and any(grouped.common for grouped in seeds)
    expected = [rate @ c.by_group for rate, c in zip(rates, counts, strict=True)] if not shared else []
    error = ErrorComponents(
        contributions=np.mean(contributions, axis=0).astype(np.float32),
        counts=counts[0].by_group if shared else np.mean(expected, axis=0, keepdims=True).astype(np.float32),
        rates=np.mean(rates, axis=0) if shared else np.ones(1),
        has_images=counts[0].has_images if shared else size > 0,
        groups=effective_groups(size),
        seeds=len(seeds),
        seed_variance=float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0,
        key=zlib.crc32(b"".join(seed_counts.key for seed_counts in (counts[:1] if same else counts))),
    )
    return error, float(np.mean(values))


def _seed_weights(num_seeds: int, row: str) -> NDArray[np.float64]:
    """Draws the weight of each seed in each draw, (B, S).

    Deviations are multiplied by sqrt(s / (s - 1)), since the variance of resampled means is too small by that factor
    squared.
    """
    if num_seeds == 1:
        return np.ones((DRAWS, 1))
    rng = np.random.default_rng([1, zlib.crc32(row.encode())])
    weights = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=DRAWS) / num_seeds
    return 1 / num_seeds + np.sqrt(num_seeds / (num_seeds - 1)) * (weights - 1 / num_seeds)
