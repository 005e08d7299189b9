"""Whether a network uses the lesion, by subgroup: by its answer, by skin tone, sex or site, by what experts marked."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.leaderboard.analysis.part_reliance import PartReliance, judge_part
from benchmark.leaderboard.load.predictions import read_predictions
from benchmark.leaderboard.load.results import BootstrapContext, ResultsDirectory, build_bootstrap_context
from benchmark.leaderboard.load.subgroups import MAX_VALUES, Subgroup, read_subgroups
from benchmark.leaderboard.reliance_columns import RELIANCE, reliance_column
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.reliance import ratios
from benchmark.reliance.fills import FILLS
from benchmark.statistics.bootstrap import estimates
from benchmark.storage.results import sidecar_file

ANSWER = "answer"
"""Kind of the subgroups of images that a network gives the same answer. Each training has its own."""
SUBGROUP_COLUMNS: Mapping[str, tuple[str, ...]] = {RELIANCE: tuple(FILLS)} | {
    reliance_column(fill): (fill,) for fill in FILLS
}
"""Names of the numbers of a subgroup, with their fills."""

Members = dict[Subgroup, list[NDArray[np.bool_]]]
"""Which test images (T,) are in a subgroup, for each training."""


def build_subgroup_reliance(published: ResultsDirectory, table: LeaderboardTable) -> tuple[PartReliance, ...]:
    """Builds the lines of all models with reliance, in the order of a table, a line for each subgroup.

    The answers come first, unless there are more than :data:`MAX_VALUES` classes. The region is the whole lesion, also
    in the subgroups of a characteristic. A subgroup has no line where the reliance is undefined for all of its images.
    The estimates are those of :data:`SUBGROUP_COLUMNS`. With several trainings, their intervals count the variance
    between those of the model alone.

    Args:
        published: The records of the table.
        table: The table of any saliency method.
    """
    models = {(row.name, row.regime): row for row in table.models if RELIANCE in row.estimates}
    if not models:
        return ()
    subgroups, context = read_subgroups(published), build_bootstrap_context(published)
    fixed = {name: np.array([image in of for image in context.images]) for name, of in subgroups.items()}
    classes = table.record.classes if len(table.record.classes) <= MAX_VALUES else []
    return tuple(
        line
        for model, row in models.items()
        if (seeds := list(_read_seeds(published, model, context)))
        for line in _lines(row, table, seeds, _answers(seeds, classes) | _of_each(seeds, fixed), context)
    )


def _answers(seeds: Sequence[pd.DataFrame], classes: Sequence[str]) -> Members:
    """Returns which images each training gives which answer."""
    answers = [frame["predicted"].to_numpy() for frame in seeds]
    return {(ANSWER, name): [each == label for each in answers] for label, name in enumerate(classes)}


def _of_each(seeds: Sequence[pd.DataFrame], fixed: Mapping[Subgroup, NDArray[np.bool_]]) -> Members:
    """Returns subgroups that are the same for each training."""
    return {name: [inside] * len(seeds) for name, inside in fixed.items()}


def _read_seeds(
    published: ResultsDirectory, model: tuple[str, str], context: BootstrapContext
) -> Iterator[pd.DataFrame]:
    """Yields the predictions of each training. The table has named the damaged ones."""
    for path in published.models.get(model, ()):
        try:
            frame = read_predictions(sidecar_file(path, "predictions.parquet"), context.images)
        except ValueError:
            continue
        if ratios.has_column(frame, "area"):
            yield frame


def _lines(
    row: Row,
    table: LeaderboardTable,
    seeds: Sequence[pd.DataFrame],
    members: Members,
    context: BootstrapContext,
) -> Iterator[PartReliance]:
    values = [{name: ratios.reliance(frame, fills) for name, fills in SUBGROUP_COLUMNS.items()} for frame in seeds]
    statistics = {
        (subgroup, name): [ratios.mean_of(inside, by_name[name]) for inside, by_name in zip(of, values, strict=True)]
        for subgroup, of in members.items()
        for name in SUBGROUP_COLUMNS
    }
    present = {key: [part for part in each if part is not None] for key, each in statistics.items()}
    defined = {key: each for key, each in present.items() if each}
    found = estimates(defined, context.draws, row=row.label, bounds=dict.fromkeys(defined, ratios.BOUNDS))
    for subgroup in members:
        own = {name: found[subgroup, name] for name in SUBGROUP_COLUMNS if (subgroup, name) in found}
        if RELIANCE in own:
            yield judge_part(row, table, subgroup, own)
