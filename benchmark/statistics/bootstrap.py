"""Means with intervals, by a bootstrap that all rows and columns of a table share."""

import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmark.statistics.combined import half_width
from benchmark.statistics.errors import error_components
from benchmark.statistics.intervals import LEVEL, ErrorComponents, intervals, small_sample_factor
from benchmark.statistics.proportions import proportion_interval
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import Grouped, Resampling

Name = TypeVar("Name", bound=Hashable)
"""Name of a column, or saliency method and name."""
Floating = TypeVar("Floating", bound=np.floating)

IntervalKind = Literal["images", "images and trainings"]
"""What an interval holds over: new images for the same trainings, or new trainings as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageScores:
    """Scores by image, for comparisons on common images.

    Attributes:
        amounts: (N, C); mean over the seeds.
        counts: (N, C); 0 where the row has no score, in any seed.
        codes: Index of the group of each image, (N,).
    """

    amounts: NDArray[np.float32]
    counts: NDArray[np.float32]
    codes: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        value: Mean of the statistic over the seeds.
        low: Lower end of the interval; NaN for a single group.
        high: Upper end.
        image_ends: Ends of the interval over images alone.
        bounds: Minimum and maximum of the statistic; no interval leaves them.
        images: Number of images that count, per seed.
        undefined: Number of scores that are not finite, over all seeds.
        draws: The statistic in the draws of the bootstrap that are stored, (B,).
        error: Components of its error.
        by_image: Scores by image of a statistic that not every image has; else None.
    """

    value: float
    low: float
    high: float
    image_ends: tuple[float, float]
    bounds: tuple[float, float]
    images: int
    undefined: int
    draws: NDArray[np.float32]
    error: ErrorComponents
    by_image: ImageScores | None

    @property
    def kind(self) -> IntervalKind:
        """What the interval holds over."""
        return "images and trainings" if self.error.knows_trainings else "images"


def estimates(
    columns: Mapping[Name, Sequence[RatioStatistic | Grouped]],
    draws: Resampling,
    *,
    row: str,
    bounds: Mapping[Name, tuple[float, float]],
    trained: bool = True,
    over_trainings: bool = True,
) -> dict[Name, Estimate]:
    """Computes means over seeds with their intervals.

    Over images, the interval is that of a bootstrap of whole groups, or for proportions that of
    :func:`benchmark.statistics.proportions.proportion_interval`. Percentile intervals of a cluster bootstrap are too
    short where groups are few. Two standard corrections therefore move each end away from the value. The variance
    between G groups is multiplied by G / (G - 1). Student's quantile replaces the normal one. Groups of unequal size
    count as fewer. With several seeds, the variance between trainings widens the interval, by the distribution of
    :func:`benchmark.statistics.combined.two_sided_p`. With one seed the interval is over images only.

    Args:
        columns: By name of the column, the statistic of each training seed, over the same images. An object that
            occurs under several names is drawn once, such as the classification in the table of every saliency method.
        draws: From :func:`resampling`.
        row: Name of the row. Seeds are drawn row by row, since seeds of two networks are unrelated.
        bounds: Range of each column; no interval leaves it.
        trained: Whether another training could change the row. False for a baseline.
        over_trainings: Whether the variance between trainings widens the intervals. False saves the time where
            :func:`benchmark.statistics.trainings.pool_trainings` follows, which computes them again.

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
    errors = error_components(distinct, trained=trained)
    ends = intervals(
        [value for _, value in errors.values()],
        [over_images for over_images, _ in drawn.values()],
        [small_sample_factor(error.groups) for error, _ in errors.values()],
    )
    ends_by_key = {
        key: _proportion_ends(seeds, errors[key][0]) if seeds[0].proportion else key_ends
        for (key, seeds), key_ends in zip(distinct.items(), ends, strict=True)
    }
    stored_draws = {key: values[: draws.num_stored].astype(np.float32) for key, (_, values) in drawn.items()}
    by_image = {key: _scores_by_image(seeds) for key, seeds in distinct.items()}
    results = [
        Estimate(
            value=errors[keys[name]][1],
            low=ends_by_key[keys[name]][0],
            high=ends_by_key[keys[name]][1],
            image_ends=ends_by_key[keys[name]],
            bounds=bounds[name],
            images=max(seed.counts.images for seed in distinct[keys[name]]),
            undefined=sum(seed.undefined for seed in seeds),
            draws=stored_draws[keys[name]],
            error=errors[keys[name]][0],
            by_image=by_image[keys[name]],
        )
        for name, seeds in columns.items()
    ]
    results = with_errors(results, [estimate.error for estimate in results], over_trainings=over_trainings)
    return dict(zip(columns, results, strict=True))


def with_errors(
    rows: Sequence[Estimate], errors: Sequence[ErrorComponents], *, over_trainings: bool = True
) -> list[Estimate]:
    """Returns estimates with the intervals that belong to their errors, over new trainings where these are known."""
    widened = [
        index
        for index, (row, error) in enumerate(zip(rows, errors, strict=True))
        if over_trainings
        and error.knows_trainings
        and error.training_variance > 0
        and np.isfinite(row.image_ends).all()
    ]
    ends = np.array([row.image_ends for row in rows]).reshape(-1, 2)
    if widened:
        values = np.array([rows[index].value for index in widened])
        ends[widened] = _over_trainings(values, ends[widened], [errors[index] for index in widened])
    return [
        replace(
            row,
            low=max(low, row.bounds[0]) if np.isfinite(low) else low,
            high=min(high, row.bounds[1]) if np.isfinite(high) else high,
            error=error,
        )
        for row, error, (low, high) in zip(rows, errors, ends.tolist(), strict=True)
    ]


def _over_trainings(
    values: NDArray[np.float64], ends: NDArray[np.float64], errors: Sequence[ErrorComponents]
) -> NDArray[np.float64]:
    """Widens intervals over images (R, 2) around values (R,) by the variance between trainings."""
    freedom = np.array([[max(error.groups - 1, 1.0)] * 2 for error in errors])
    sides = (values[:, None] - ends) / stdtrit(freedom, (1 + LEVEL) / 2)
    shared = np.array([error.shared_interaction for error in errors])[:, None]
    trainings = np.array([[error.training_variance] * 2 for error in errors])
    trainings_freedom = np.array([[error.training_freedom] * 2 for error in errors])
    parts = (trainings, trainings_freedom, np.maximum(sides**2 - shared, 0.0), freedom)
    widths = half_width(*(part.ravel() for part in parts)).reshape(-1, 2)
    return values[:, None] + widths * [-1, 1]


def _proportion_ends(seeds: Sequence[Grouped], error: ErrorComponents) -> tuple[float, float]:
    """Computes the interval over images of a proportion, from the sums by group of each seed."""
    amounts, counts = (
        np.mean(parts, axis=0) for parts in ([seed.amounts for seed in seeds], [seed.counts.by_group for seed in seeds])
    )
    groups, influence = error.groups, error.influence
    variance = float(influence @ influence) * groups / max(groups - 1, 1.0)
    return proportion_interval(amounts, counts, variance, len(seeds))


def _scores_by_image(seeds: Sequence[Grouped]) -> ImageScores | None:
    """Returns the mean score of each image over the seeds, where every seed has one."""
    amounts = [seed.by_image for seed in seeds if seed.by_image is not None]
    if len(amounts) < len(seeds):
        return None
    counts = seeds[0].counts.by_image
    for seed in seeds[1:]:
        if seed.counts.image_key != seeds[0].counts.image_key:
            counts = np.where(counts == seed.counts.by_image, counts, 0)
    return ImageScores(amounts=_mean(amounts), counts=counts, codes=seeds[0].codes)


def _draw_statistics(
    columns: Mapping[Name, Sequence[Grouped]], draws: Resampling, row: str
) -> dict[Name, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Computes each statistic in each draw of images, (B,), and in the stored draws of images and seeds.

    Amounts are summed together.
    """
    averaged = {name: [_average(seeds)] for name, seeds in columns.items() if _has_linear_mean(seeds, draws)}
    by_seed = _replicates_by_name({**columns, **averaged}, draws)
    stored_by_seed = _replicates_by_name({name: columns[name] for name in averaged}, draws.stored)
    results: dict[Name, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for number, is_averaged in {(len(seeds), name in averaged) for name, seeds in columns.items()}:
        names = [name for name, seeds in columns.items() if (len(seeds), name in averaged) == (number, is_averaged)]
        values = np.array([by_seed[name] for name in names])
        if number == 1:
            results |= {name: (value[0], value[0]) for name, value in zip(names, values, strict=True)}
            continue
        over_images = values[:, 0] if is_averaged else _sum_rows(values) / number
        num_stored = min(draws.num_stored, len(draws.weights))
        stored = np.array([stored_by_seed[name] for name in names]) if is_averaged else values[..., :num_stored]
        over_both = _sum_rows(stored * _seed_weights(number, row, num_stored).T)
        results |= dict(zip(names, zip(over_images, over_both, strict=True), strict=True))
    return {name: results[name] for name in columns}


def _has_linear_mean(seeds: Sequence[Grouped], draws: Resampling) -> bool:
    """Returns whether the mean over seeds in each draw is computed from the mean of the amounts.

    With equal counts, it is linear in the amounts. It saves time where few draws of single seeds are stored.
    """
    is_shared = len(seeds) > 1 and all(seed.counts is seeds[0].counts for seed in seeds)
    return is_shared and draws.num_stored < len(draws.weights)


def _average(seeds: Sequence[Grouped]) -> Grouped:
    """Averages the amounts of seeds with equal counts."""
    return replace(seeds[0], amounts=_mean([seed.amounts for seed in seeds]))


def _mean(parts: Sequence[NDArray[Floating]]) -> NDArray[Floating]:
    """Computes the mean of a few small arrays, in a fraction of the time of NumPy's, to the same last digit."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part  # not in place: the first array stays as it is
    return total if len(parts) == 1 else total / total.dtype.type(len(parts))


def _replicates_by_name(
    columns: Mapping[Name, Sequence[Grouped]], draws: Resampling
) -> dict[Name, list[NDArray[np.float64]]]:
    """Computes the statistic of each seed in each draw, (B,)."""
    replicates = iter(_replicates([grouped for seeds in columns.values() for grouped in seeds], draws))
    return {name: [next(replicates) for _ in seeds] for name, seeds in columns.items()}


def _sum_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums values (K, S, B) over the second axis, its first row last: in the order of NumPy's sum of a few numbers."""
    return values[:, 0] + values[:, 1:].sum(axis=1)


def _replicates(parts: Sequence[Grouped], draws: Resampling) -> list[NDArray[np.float64]]:
    """Computes statistics of single seeds in each draw, (B,). Those with equal counts are computed together."""
    counts = draws.drawn_counts(grouped.counts for grouped in parts)
    alike: dict[bytes, list[int]] = {}
    for index, grouped in enumerate(parts):
        alike.setdefault(grouped.counts.key, []).append(index)
    groups = list(alike.values())
    drawn = draws.drawn([np.concatenate([parts[index].amounts for index in indices]) for indices in groups])
    found: dict[int, NDArray[np.float64]] = {}
    for key, indices, values in zip(alike, groups, drawn, strict=True):
        ratios = _mean_ratios(values.reshape(len(indices), *counts[key].shape), counts[key])
        found |= dict(zip(indices, ratios, strict=True))
    return [found[index] for index in range(len(parts))]


def _mean_ratios(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the means over columns of several statistics (K, C, B) over the same counts (C, B), (K, B).

    Values are zero where the count is. They are overwritten.
    """
    present = counts > 0
    values /= np.where(present, counts, 1.0)
    means = _sum_rows(values) if len(counts) > 1 else values[:, 0]
    num_present = present.sum(axis=0)
    if len(counts) > 1:
        means /= np.maximum(num_present, 1)
    means[:, num_present == 0] = np.nan
    return means


def _seed_weights(num_seeds: int, row: str, num_draws: int) -> NDArray[np.float64]:
    """Draws the weight of each seed in each draw, (B, S).

    Deviations are multiplied by sqrt(s / (s - 1)), since the variance of resampled means is too small by that factor
    squared.
    """
    if num_seeds == 1:
        return np.ones((num_draws, 1))
    rng = np.random.default_rng([1, zlib.crc32(row.encode())])
    weights = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=num_draws) / num_seeds
    return 1 / num_seeds + np.sqrt(num_seeds / (num_seeds - 1)) * (weights - 1 / num_seeds)
