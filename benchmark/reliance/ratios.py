"""Statistics of the columns of reliance: means over images, and associations with maps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.reliance import PREFIX
from benchmark.reliance.fills import FILLS
from benchmark.reliance.masses import density_column
from benchmark.reliance.variants import NUM_SUPERPIXELS
from benchmark.statistics.association import auc_within, spearman_within
from benchmark.statistics.ratios import RatioStatistic, mean_of_finite

Values = NDArray[np.float64]
Association = Callable[[Values, Values, NDArray[np.integer]], Values | None]
RELIANCE = "reliance on the lesion"
BOUNDS = (-2.0, 2.0)
"""Range of the reliance: the difference of two drops."""
MIN_OBSERVATIONS = 8
"""Minimum number of images of an association."""


def has_column(frame: pd.DataFrame | None, name: str) -> TypeGuard[pd.DataFrame]:
    """Returns whether predictions have a column of reliance."""
    return frame is not None and f"{PREFIX}{name}" in frame


def column(frame: pd.DataFrame, name: str) -> Values:
    """Returns a column of reliance, (N,)."""
    return frame[f"{PREFIX}{name}"].to_numpy(dtype=np.float64)


def reliance(frame: pd.DataFrame, fills: Sequence[str] = tuple(FILLS)) -> Values:
    """Computes the reliance of each image: the drop for its region less that for the control, mean over fills, (N,)."""
    return np.mean([column(frame, f"region {fill} drop") - column(frame, f"control {fill} drop") for fill in fills], 0)


def mean_over_fills(frame: pd.DataFrame, version: str, measure: str) -> Values:
    """Computes the mean of a measure over all fills of "region" or "control", (N,)."""
    return np.mean([column(frame, f"{version} {fill} {measure}") for fill in FILLS], 0)


def answer_changed(frame: pd.DataFrame) -> Values:
    """Returns whether most fills of the region change the answer, 0 or 1, (N,). NaN where the region is undefined."""
    fraction = mean_over_fills(frame, "region", "changed")
    return np.where(np.isnan(fraction), np.nan, fraction > 0.5)


def mean_statistic(values: Values) -> RatioStatistic | None:
    """Returns the mean of the finite values of (N,), or None without any. The others count as undefined."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    return replace(mean_of_finite(values), undefined=int((~finite).sum()))


def recall_statistic(correct: Values, labels: NDArray[np.integer]) -> RatioStatistic | None:
    """Returns the balanced accuracy of answers that are right with the given probability, (N,). NaN does not count."""
    finite = np.isfinite(correct)
    if not finite.any():
        return None
    truth = (labels[:, None] == np.unique(labels[finite])) & finite[:, None]
    amounts = np.where(truth, np.where(finite, correct, 0.0)[:, None], 0.0)
    return RatioStatistic(amounts=amounts, counts=truth.astype(np.float64), undefined=int((~finite).sum()))


def by_class(frame: pd.DataFrame, classes: Sequence[str]) -> dict[tuple[str, str], RatioStatistic]:
    """Returns the mean reliance on the lesion over the images of each true class that has any, by measure and class."""
    if not has_column(frame, "area"):
        return {}
    own = {name: of_class(frame, index) for index, name in enumerate(classes)}
    return {(RELIANCE, name): statistic for name, statistic in own.items() if statistic is not None}


def of_class(frame: pd.DataFrame, label: int, fills: Sequence[str] = tuple(FILLS)) -> RatioStatistic | None:
    """Returns the mean reliance on the lesion over the images of a true class. None if it is undefined for all."""
    return mean_of((frame["label"] == label).to_numpy(), reliance(frame, fills))


def mean_of(inside: NDArray[np.bool_], values: Values) -> RatioStatistic | None:
    """Returns the mean of the finite values of some images, both (N,). None without any. The others are undefined."""
    own = np.where(inside, values, np.nan)
    finite = np.isfinite(own)
    return replace(mean_of_finite(own), undefined=int((inside & ~finite).sum())) if finite.any() else None


def rank_association(density: Values, drop: Values, predicted: NDArray[np.integer]) -> RatioStatistic | None:
    """Returns Spearman's correlation of a map's density with the drop, within predicted classes.

    Args:
        density: Density of the map on each region, (N, R).
        drop: Drop of the probability when the region is filled, (N, R).
        predicted: Predicted classes, (N,).

    Returns:
        The correlation as a mean over images of pseudo-values. None for fewer than eight images, or if one of the two
        is constant.
    """
    return _association(density, drop, predicted, spearman_within)


def changed_auc(density: Values, changed: Values, predicted: NDArray[np.integer]) -> RatioStatistic | None:
    """Returns the area under the ROC curve of a map's density for "the answer changed", within predicted classes.

    Arguments as for :func:`rank_association`, with changed answers (1) in place of drops.
    """
    return _association(density, changed, predicted, lambda x, y, strata: auc_within(x, y > 0, strata))


def _association(
    density: Values, outcome: Values, predicted: NDArray[np.integer], compute: Association
) -> RatioStatistic | None:
    valid = np.isfinite(density) & np.isfinite(outcome)
    if valid.any(axis=1).sum() < MIN_OBSERVATIONS:
        return None
    strata = np.broadcast_to(predicted[:, None], valid.shape)[valid]
    pseudo = compute(density[valid], outcome[valid], strata)
    if pseudo is None:
        return None
    amounts = np.zeros(valid.shape)
    amounts[valid] = pseudo
    undefined = int((~valid.any(axis=1)).sum())
    return RatioStatistic(
        amounts=amounts.sum(axis=1)[:, None], counts=valid.sum(axis=1)[:, None].astype(np.float64), undefined=undefined
    )


def superpixels(frame: pd.DataFrame, measure: str) -> Values:
    """Returns a measure of the random regions, (N, R)."""
    return np.stack([column(frame, f"superpixel {index} {measure}") for index in range(NUM_SUPERPIXELS)], axis=1)


def superpixel_densities(frame: pd.DataFrame, method: str) -> Values:
    """Returns the density of the maps of a method on the random regions, (N, R). NaN without such maps."""
    names = [density_column(method, index) for index in range(NUM_SUPERPIXELS)]
    return frame.reindex(columns=names).to_numpy(dtype=np.float64)
