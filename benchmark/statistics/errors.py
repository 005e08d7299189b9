"""Error components of statistics, from their sums by group of each seed."""

import zlib
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.intervals import ErrorComponents
from benchmark.statistics.ratios import mean_ratio
from benchmark.statistics.resampling import Counts, Grouped, effective_groups

Key = TypeVar("Key", bound=Hashable)
Array = NDArray[np.float64]
Errors = tuple[ErrorComponents, float]
"""Error components of a statistic, and its value."""


def error_components(columns: Mapping[Key, Sequence[Grouped]], *, trained: bool) -> dict[Key, Errors]:
    """Computes error components and value of each statistic. Plain means of the same images are computed together.

    Args:
        columns: By key, the sums by group of each seed.
        trained: Whether another training could change the statistics.
    """
    alike: dict[tuple[int, int], list[Key]] = {}
    for key, seeds in columns.items():
        if _is_plain(seeds):
            alike.setdefault((id(seeds[0].counts), len(seeds)), []).append(key)
    found: dict[Key, Errors] = {}
    for keys in alike.values():
        parts = [columns[key] for key in keys]
        found |= dict(zip(keys, _plain_errors(parts, parts[0][0].counts, trained=trained), strict=True))
    return {key: found[key] if key in found else _errors(seeds, trained=trained) for key, seeds in columns.items()}


def _is_plain(seeds: Sequence[Grouped]) -> bool:
    """Whether a statistic has one column, and shares its counts with its other seeds and an earlier statistic."""
    counts = seeds[0].counts
    return (
        len(counts.by_group) == 1
        and bool(counts.images)
        and all(seed.counts is counts for seed in seeds)
        and any(seed.common for seed in seeds)
    )


def _plain_errors(columns: Sequence[Sequence[Grouped]], counts: Counts, *, trained: bool) -> list[Errors]:
    """Computes :func:`_errors` of statistics that share one column of counts, all at once."""
    amounts = np.stack([np.concatenate([seed.amounts for seed in seeds]) for seeds in columns])
    total = counts.by_group.sum()
    sums = amounts.sum(axis=2)
    contributions, rates, values = amounts * (1 / total), sums * (1 / total) * (1 / total), sums / total
    groups, num_seeds = effective_groups(counts.sizes), amounts.shape[1]
    several = num_seeds > 1
    variances = np.var(values, axis=1, ddof=1) if several else np.full(len(values), np.nan)
    influence = contributions - rates[:, :, None] * counts.by_group[0]
    interactions = _interactions(influence, groups) if several else np.full(len(values), np.nan)
    parts = contributions.mean(axis=1).astype(np.float32), rates.mean(axis=1), values.mean(axis=1)
    key = zlib.crc32(counts.image_key)
    return [
        (
            ErrorComponents(
                contributions=contribution,
                counts=counts.by_group,
                rates=rate[None],
                has_images=counts.has_images,
                groups=groups,
                seeds=num_seeds,
                seed_variance=float(variance),
                interaction=float(interaction),
                training_variance=float(variance) / num_seeds if trained else 0.0,
                training_freedom=float(num_seeds - 1) if trained else np.inf,
                key=key,
            ),
            float(value),
        )
        for contribution, rate, value, variance, interaction in zip(*parts, variances, interactions, strict=True)
    ]


def _interactions(influence: Array, groups: float) -> Array:
    """Computes :func:`_interaction` of statistics (K, S, G)."""
    spread = influence - influence.mean(axis=1, keepdims=True)
    sums = (spread**2).reshape(len(spread), -1).sum(axis=1)
    return sums / (influence.shape[1] - 1) * groups / max(groups - 1, 1.0)


def _errors(seeds: Sequence[Grouped], *, trained: bool) -> Errors:
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
    same = all(seed_counts.image_key == counts[0].image_key for seed_counts in counts)
    # Shared counts are stored as they are, at no cost. Others are reduced to the one sum that is needed of them.
    shared = same and any(grouped.common for grouped in seeds)
    expected = [rate @ c.by_group for rate, c in zip(rates, counts, strict=True)] if not shared else []
    seed_variance = float(np.var(values, ddof=1)) if len(values) > 1 else np.nan
    groups = effective_groups(size)
    influence = [
        contribution - rate @ seed_counts.by_group
        for contribution, rate, seed_counts in zip(contributions, rates, counts, strict=True)
    ]
    error = ErrorComponents(
        contributions=np.mean(contributions, axis=0).astype(np.float32),
        counts=counts[0].by_group if shared else np.mean(expected, axis=0, keepdims=True).astype(np.float32),
        rates=np.mean(rates, axis=0) if shared else np.ones(1),
        has_images=counts[0].has_images if shared else size > 0,
        groups=groups,
        seeds=len(seeds),
        seed_variance=seed_variance,
        interaction=_interaction(influence, groups),
        training_variance=seed_variance / len(values) if trained else 0.0,
        training_freedom=float(len(values) - 1) if trained else np.inf,
        key=zlib.crc32(b"".join(seed_counts.image_key for seed_counts in (counts[:1] if same else counts))),
    )
    return error, float(np.mean(values))


def _interaction(influence: Sequence[NDArray[np.float64]], groups: float) -> float:
    """Computes the part of a training's variance between groups that differs from seed to seed; NaN for one seed."""
    if len(influence) < 2:
        return np.nan
    spread = np.stack(influence) - np.mean(influence, axis=0)
    return float((spread**2).sum()) / (len(influence) - 1) * groups / max(groups - 1, 1.0)
