"""Checks of the scores of a record: once for each image, within the bounds of the registry, and on all images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmark.leaderboard.admission.bounds import MAX_ROWS, MAX_ROWS_PER_IMAGE, read_bounded
from benchmark.leaderboard.admission.catalog import find_metric, is_of_model, is_of_references
from benchmark.leaderboard.load.score_layout import METHOD_COLUMN
from benchmark.leaderboard.load.scores import NAME_COLUMNS, VALUE_COLUMN
from benchmark.storage.record import Record
from benchmark.storage.upgrade import METRICS

NAMES = (*NAME_COLUMNS, METHOD_COLUMN, "rater")
BOUND_TOLERANCE = 1e-6
SUMMARY_TOLERANCE = 1e-6
DEGENERATE = "tv-ratio"
"""The metric that is undefined if and only if a map is constant or not finite."""
RANKING = "map-f1"
MIN_DEFINED = 0.5
"""Minimum fraction of the images on which a record from elsewhere defines the ranking metric. Ranks are of common
images, so a row without scores would take away those of others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreTable:
    """The scores of a record.

    Attributes:
        codes: For each column of names, the index of each row's name.
        names: For each column, its names. Metrics have their current names.
        value: The scores.
    """

    codes: dict[str, NDArray[np.int64]]
    names: dict[str, tuple[str, ...]]
    value: NDArray[np.float64]

    def frame(self) -> pd.DataFrame:
        """Returns the scores as a table."""
        columns = {name: np.array(self.names[name], dtype=object)[codes] for name, codes in self.codes.items()}
        return pd.DataFrame({**columns, "value": self.value})


def read_scores(path: Path, num_images: int) -> ScoreTable:
    """Reads the scores of a record with a number of test images.

    Raises:
        ValueError: The file is damaged, too large, or lacks a column.
    """
    table = read_bounded(path, list(NAMES), min(MAX_ROWS, num_images * MAX_ROWS_PER_IMAGE))
    if VALUE_COLUMN not in table.column_names:
        raise ValueError(f"its scores lack the column {VALUE_COLUMN}")
    if not pa.types.is_floating(table[VALUE_COLUMN].type):
        raise ValueError("its scores have no numbers in value")
    arrays = {name: table[name].combine_chunks() for name in NAMES}
    arrays = {name: array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for name, array in arrays.items()}
    codes, names = {}, {}
    for name, array in arrays.items():
        texts = [METRICS.get(text, text) if name == "metric" else text for text in array.dictionary.to_pylist()]
        names[name] = tuple(dict.fromkeys(texts))
        index = {text: place for place, text in enumerate(names[name])}
        places = np.array([index[text] for text in texts], dtype=np.int64)
        codes[name] = places[array.indices.to_numpy()] if len(array) else np.zeros(0, dtype=np.int64)
    values = table[VALUE_COLUMN].to_numpy().astype(np.float64, copy=False)
    return ScoreTable(codes=codes, names=names, value=values)


def check_scores(record: Record, scores: ScoreTable, images: Sequence[str]) -> Iterator[str]:
    """Yields a line for each contradiction within the scores, and with the test images."""
    if unknown := set(scores.names["image"]) - set(images):
        yield f"scores {min(unknown)!a}, which is no test image"
    if _has_duplicates(scores):
        yield "has two scores for the same image, method and metric"
    if unknown := set(scores.names["method"]) - {*record.methods, ""}:
        yield f"scores maps by {min(unknown)!a}, which the record does not name"
    yield from _check_bounds(record, scores)
    yield from _check_coverage(record, scores, images)
    yield from _check_summary(record, scores)


def _has_duplicates(scores: ScoreTable) -> bool:
    keys = np.zeros(len(scores.value), dtype=np.int64)
    for name in NAMES:
        # Each step leaves as many different keys as there are rows, so no product exceeds 64 bits.
        keys = np.unique(keys * max(1, len(scores.names[name])) + scores.codes[name], return_inverse=True)[1]
    return len(np.unique(keys)) < len(keys)


def _check_bounds(record: Record, scores: ScoreTable) -> Iterator[str]:
    for code, name in enumerate(scores.names["metric"]):
        known = find_metric(name)
        if name not in record.metrics:
            yield f"scores {name!a} without a definition"
            continue
        values = scores.value[scores.codes["metric"] == code]
        values = values[~np.isnan(values)]
        # Only records of runs have metrics that are no longer registered.
        low, high = known.bounds if known else record.metrics[name].bounds
        bad = values[(values < low - BOUND_TOLERANCE) | (values > high + BOUND_TOLERANCE) | np.isinf(values)]
        if len(bad):
            yield f"score {bad[0]:g} of {name} is out of bounds [{low:g}, {high:g}]"


def _check_coverage(record: Record, scores: ScoreTable, images: Sequence[str]) -> Iterator[str]:
    """A metric of the map alone has a row for every test image, by every method."""
    methods = [code for code, name in enumerate(scores.names["method"]) if name in {*record.methods, ""}]
    if "" not in scores.names["method"] and (missing := set(record.methods) - set(scores.names["method"])):
        yield f"has no scores of maps by {min(missing)}"
    for name in record.metrics:
        known = find_metric(name)
        if name not in scores.names["metric"]:
            if known and not known.of_model:
                yield f"has no scores of {name}"
            continue
        if known is None or known.inputs != {"saliency"}:
            continue
        rows = scores.codes["metric"] == scores.names["metric"].index(name)
        for method in methods:
            scored = len(np.unique(scores.codes["image"][rows & (scores.codes["method"] == method)]))
            if scored != len(images):
                yield f"has scores of {name} for {scored} of {len(images)} test images"
                break


def _check_summary(record: Record, scores: ScoreTable) -> Iterator[str]:
    """The means in a record follow from its scores. Those that it does not name are not shown either."""
    for name, value in mean_scores(scores, record).items():
        reported = record.summary.get(name)
        if reported is None:
            continue
        if not isinstance(reported, int | float) or not np.isclose(
            reported, value, atol=SUMMARY_TOLERANCE, rtol=SUMMARY_TOLERANCE
        ):
            yield f"summary says {reported} of {name}, its files say {value:.6g}"
            return


def mean_scores(scores: ScoreTable, record: Record) -> dict[str, float]:
    """Computes the mean score of each method, metric and level, by its name in the summary."""
    names = scores.names
    keys = (scores.codes["method"] * len(names["metric"]) + scores.codes["metric"]) * len(names["level"])
    keys = keys + scores.codes["level"]
    finite = ~np.isnan(scores.value)
    size = max(1, len(names["method"]) * len(names["metric"]) * len(names["level"]))
    sums = np.bincount(keys[finite], weights=scores.value[finite], minlength=size)
    counts, rows = np.bincount(keys[finite], minlength=size), np.bincount(keys, minlength=size)
    means = {}
    for key in np.flatnonzero(rows):
        place, level = divmod(int(key), len(names["level"]))
        method, metric = divmod(place, len(names["metric"]))
        label = names["method"][method] or (record.external_maps.method if record.external_maps else "")
        mean = sums[key] / counts[key] if counts[key] else np.nan
        means[f"{label}: {names['metric'][metric]} ({names['level'][level]})"] = float(mean)
    return means


KEY = ["image", "metric", "level", "rater", "characteristic"]


def compare_scores(record: Record, scores: ScoreTable, reference: ScoreTable) -> Iterator[str]:
    """Yields a line where a record has other rows than the runs of its table, or is undefined where they are not.

    A protocol fixes images, metrics and masks, so every model of a table has the same rows.
    """
    frame, own = scores.frame(), reference.frame()
    if record.external_maps is not None:
        own = own[~own["metric"].isin(list(filter(is_of_model, reference.names["metric"])))]
    for method in scores.names["method"]:
        used = method if method in reference.names["method"] else reference.names["method"][0]
        both = frame[frame["method"] == method].merge(
            own[own["method"] == used], on=KEY, how="outer", indicator=True, suffixes=("", "_own")
        )
        if (odd := both["_merge"] != "both").any():
            first = both[odd].iloc[0]
            verb = "lacks" if first["_merge"] == "right_only" else "has"
            yield f"{verb} {int(odd.sum())} rows, such as {first['metric']} ({first['level']}), unlike the runs here"
            return
        yield from _check_undefined(both)


def _check_undefined(both: pd.DataFrame) -> Iterator[str]:
    """A score against a soft mask is undefined only where a map is, or where the mask leaves no choice."""
    undefined = both["value"].isna() & both["value_own"].notna()
    degenerate = set(both.loc[(both["metric"] == DEGENERATE) & both["value"].isna(), "image"])
    for name in both.loc[undefined, "metric"].unique():
        rows = undefined & (both["metric"] == name)
        if is_of_references(name) and set(both.loc[rows, "image"]) - degenerate:
            yield f"leaves {name} undefined for maps that are not constant"
            return
    ranked = both[both["metric"] == RANKING]
    expected = int(ranked["value_own"].notna().sum())
    if expected and ranked["value"].notna().sum() < MIN_DEFINED * expected:
        yield f"defines {RANKING} for less than half of the images"
