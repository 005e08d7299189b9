"""The statistics of the columns on reliance: of the network, and of its maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.score_layout import Kind
from benchmark.leaderboard.load.statistics import Statistic
from benchmark.reliance import ratios
from benchmark.statistics.ratios import RatioStatistic

MASS: Kind = ("relevance-mass", "image")
"""The score that has the fraction of a map's mass on the lesion."""


def network_mean(values: Callable[[pd.DataFrame], ratios.Values], requires: str = "area") -> Statistic:
    """Returns the mean over images of a property of the network, where the predictions have a column of reliance."""

    def compute(row_data: RowData) -> RatioStatistic | None:
        frame = row_data.predictions
        return ratios.mean_statistic(values(frame)) if ratios.has_column(frame, requires) else None

    return compute


def network_recall(values: Callable[[pd.DataFrame], ratios.Values]) -> Statistic:
    """Returns the balanced accuracy of answers, from the probability that each is right."""

    def compute(row_data: RowData) -> RatioStatistic | None:
        frame = row_data.predictions
        if not ratios.has_column(frame, "area"):
            return None
        return ratios.recall_statistic(values(frame), frame["label"].to_numpy())

    return compute


def network_class_mean(label: int, fills: Sequence[str]) -> Statistic:
    """Returns the mean reliance on the lesion over the images of a true class."""

    def compute(row_data: RowData) -> RatioStatistic | None:
        frame = row_data.predictions
        return ratios.of_class(frame, label, fills) if ratios.has_column(frame, "area") else None

    return compute


@dataclass(frozen=True, kw_only=True, slots=True)
class MapStatistic:
    """A statistic of the maps of one method together with the reliance of the network.

    Attributes:
        compute: Takes the predictions, the density of each map on the lesion (N,), and the name of the method.
    """

    compute: Callable[[pd.DataFrame, ratios.Values, str], RatioStatistic | None]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The scores that it reads."""
        return (MASS,)

    def __call__(self, row_data: RowData) -> RatioStatistic | None:
        """Computes the statistic of a row; None if it has no reliance."""
        frame = row_data.predictions
        if not ratios.has_column(frame, "area"):
            return None
        density = np.full(len(row_data.images), np.nan)
        section = row_data.scores.get(MASS)
        if section is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                indices, masses = section.image_indices, section.values  # noqa: PD011 - no data frame
                density[indices] = masses / ratios.column(frame, "area")[indices]
        return self.compute(frame, density, row_data.method)


def lesion_association(frame: pd.DataFrame, density: ratios.Values, _method: str) -> RatioStatistic | None:
    """Computes the rank correlation of the map's density on the lesion with the reliance on it."""
    drop = ratios.reliance(frame)[:, None]
    return ratios.rank_association(density[:, None], drop, frame["predicted"].to_numpy())


def lesion_auc(frame: pd.DataFrame, density: ratios.Values, _method: str) -> RatioStatistic | None:
    """Computes how well the map's density on the lesion finds the images whose answer the lesion decides."""
    changed = ratios.answer_changed(frame)[:, None]
    return ratios.changed_auc(density[:, None], changed, frame["predicted"].to_numpy())


def random_association(frame: pd.DataFrame, _density: ratios.Values, method: str) -> RatioStatistic | None:
    """Computes the rank correlation of the map's density with the drop, on random regions."""
    density, drop = ratios.superpixel_densities(frame, method), ratios.superpixels(frame, "drop")
    return ratios.rank_association(density, drop, frame["predicted"].to_numpy())


def random_auc(frame: pd.DataFrame, _density: ratios.Values, method: str) -> RatioStatistic | None:
    """Computes how well the map's density finds the random regions that decide the answer."""
    density, changed = ratios.superpixel_densities(frame, method), ratios.superpixels(frame, "changed")
    return ratios.changed_auc(density, changed, frame["predicted"].to_numpy())


def mass_over_area(frame: pd.DataFrame, density: ratios.Values, _method: str) -> RatioStatistic | None:
    """Computes the mean density of the maps on the lesion: the sum of their mass there over the sum of the areas."""
    return _mass_over_area(frame, density, np.ones(len(frame), dtype=np.bool_))


def mass_over_area_of_class(
    frame: pd.DataFrame, density: ratios.Values, _method: str, *, label: int
) -> RatioStatistic | None:
    """Computes the same over the images of a true class."""
    return _mass_over_area(frame, density, (frame["label"] == label).to_numpy())


def _mass_over_area(frame: pd.DataFrame, density: ratios.Values, chosen: NDArray[np.bool_]) -> RatioStatistic | None:
    valid = np.isfinite(density) & chosen
    if not valid.any():
        return None
    # Areas in pixels of a 100 x 100 image: counts must be whole numbers.
    areas = np.where(valid, np.maximum(np.rint(1e4 * ratios.column(frame, "area")), 1.0), 0.0)
    amounts = np.where(valid, density * areas, 0.0)
    return RatioStatistic(amounts=amounts[:, None], counts=areas[:, None], undefined=int((chosen & ~valid).sum()))
