"""Checks of the scores of a record: once for each image, within the bounds of the registry, and on all images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmark.leaderboard.admission.bounds import MAX_ROWS, MAX_ROWS_PER_IMAGE, open_bounded, with_short_names
from benchmark.leaderboard.admission.catalog import find_metric, is_of_model, is_of_references
from benchmark.leaderboard.load.score_layout import METHOD_COLUMN
from benchmark.leaderboard.load.scores import NAME_COLUMNS, VALUE_COLUMN, hash_columns
from benchmark.phrases import format_count
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


@dataclass(frozen=True, kw_only=True)
class ScoreRows:
    """What each row of a file of scores is of. Records of one protocol share it, and what follows from it.

    Attributes:
        codes: For each column of names, the index of each row's name.
        names: For each column, its names. Metrics have their current names.
    """

    codes: dict[str, NDArray[np.int64]]
    names: dict[str, tuple[str, ...]]

    @cached_property
    def has_duplicates(self) -> bool:
        """Whether two rows have the same names."""
        keys, size = np.zeros(len(self.codes["image"]), dtype=np.int64), 1
        for name in NAMES:
            count = max(1, len(self.names[name]))
            if size > np.iinfo(np.int64).max // count:
                keys = np.unique(keys, return_inverse=True)[1]
                size = len(keys)
            keys, size = keys * count + self.codes[name], size * count
        keys.sort()
        return bool((keys[1:] == keys[:-1]).any())

    @cached_property
    def by_metric(self) -> dict[str, NDArray[np.intp]]:
        """The rows of each metric."""
        order = np.argsort(self.codes["metric"], kind="stable")
        ends = np.searchsorted(self.codes["metric"][order], np.arange(len(self.names["metric"]) + 1))
        return {name: order[ends[code] : ends[code + 1]] for code, name in enumerate(self.names["metric"])}

    @cached_property
    def num_images(self) -> dict[tuple[str, str], int]:
        """The number of images with a score, by metric and method."""
        counts = {}
        for metric, rows in self.by_metric.items():
            methods, images = self.codes["method"][rows], self.codes["image"][rows]
            for code, method in enumerate(self.names["method"]):
                counts[metric, method] = len(np.unique(images[methods == code]))
        return counts

    @cached_property
    def kinds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The method, metric and level of each row as one number, and how often each number occurs."""
        names = self.names
        keys = (self.codes["method"] * len(names["metric"]) + self.codes["metric"]) * len(names["level"])
        keys = keys + self.codes["level"]
        size = max(1, len(names["method"]) * len(names["metric"]) * len(names["level"]))
        return keys, np.bincount(keys, minlength=size)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreTable:
    """The scores of a record.

    Attributes:
        rows: What each row is of.
        value: The scores.
    """

    rows: ScoreRows
    value: NDArray[np.float64]

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """For each column, its names."""
        return self.rows.names

    def frame(self) -> pd.DataFrame:
        """Returns the scores as a table."""
        columns = {name: np.array(self.names[name], dtype=object)[codes] for name, codes in self.rows.codes.items()}
        return pd.DataFrame({**columns, "value": self.value})


class ScoreTableReader:
    """Reads the scores of records, one after another.

    The rows of the latest file are used again where the stored bytes of all names are the same.
    """

    def __init__(self) -> None:
        self._latest: tuple[bytes, ScoreRows] | None = None

    def read(self, path: Path, num_images: int) -> ScoreTable:
        """Reads the scores of a record with a number of test images.

        Raises:
            ValueError: The file is damaged, too large, or lacks a column.
        """
        with open_bounded(path, NAMES, min(MAX_ROWS, num_images * MAX_ROWS_PER_IMAGE)) as file:
            names = file.schema_arrow.names
            if VALUE_COLUMN not in names:
                raise ValueError(f"its scores lack the column {VALUE_COLUMN}")
            if len(set(names)) < len(names):
                raise ValueError("its scores have a column twice")
            key = hash_columns(file, path, NAMES)
            is_same = self._latest is not None and self._latest[0] == key
            table = file.read([VALUE_COLUMN] if is_same else None, use_threads=False)
        if not pa.types.is_floating(table[VALUE_COLUMN].type):
            raise ValueError("its scores have no numbers in value")
        if self._latest is None or not is_same:
            self._latest = key, _read_rows(with_short_names(path, table, list(NAMES)))
        rows, values = self._latest[1], table[VALUE_COLUMN].to_numpy().astype(np.float64, copy=False)
        if len(values) != len(rows.codes["image"]):
            raise ValueError("its scores have columns of different lengths")
        return ScoreTable(rows=rows, value=values)


def _read_rows(table: pa.Table) -> ScoreRows:
    arrays = {name: table[name].combine_chunks() for name in NAMES}
    arrays = {name: array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for name, array in arrays.items()}
    codes, names = {}, {}
    for name, array in arrays.items():
        texts = [METRICS.get(text, text) if name == "metric" else text for text in array.dictionary.to_pylist()]
        names[name] = tuple(dict.fromkeys(texts))
        index = {text: place for place, text in enumerate(names[name])}
        places = np.array([index[text] for text in texts], dtype=np.int64)
        codes[name] = places[array.indices.to_numpy()] if len(array) else np.zeros(0, dtype=np.int64)
    return ScoreRows(codes=codes, names=names)


def check_scores(record: Record, scores: ScoreTable, images: Sequence[str]) -> Iterator[str]:
    """Yields a line for each contradiction within the scores, and with the test images."""
    if unknown := set(scores.names["image"]) - set(images):
        yield f"scores {min(unknown)!a}, which is no test image"
    if scores.rows.has_duplicates:
        yield "has two scores for the same image, method and metric"
    if unknown := set(scores.names["method"]) - {*record.methods, ""}:
        yield f"scores maps by {min(unknown)!a}, which the record does not name"
    yield from _check_bounds(record, scores)
    yield from _check_coverage(record, scores, images)
    yield from _check_summary(record, scores)


def _check_bounds(record: Record, scores: ScoreTable) -> Iterator[str]:
    for name, rows in scores.rows.by_metric.items():
        known = find_metric(name)
        if name not in record.metrics:
            yield f"scores {name!a} without a definition"
            continue
        values = scores.value[rows]
        # Only records of runs have metrics that are no longer registered.
        low, high = known.bounds if known else record.metrics[name].bounds
        # Comparisons with an undefined score are false.
        bad = values[(values < low - BOUND_TOLERANCE) | (values > high + BOUND_TOLERANCE) | np.isinf(values)]
        if len(bad):
            yield f"score {bad[0]:g} of {name} is out of bounds [{low:g}, {high:g}]"


def _check_coverage(record: Record, scores: ScoreTable, images: Sequence[str]) -> Iterator[str]:
    """A metric of the map alone has a row for every test image, by every method."""
    methods = [name for name in scores.names["method"] if name in {*record.methods, ""}]
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
        for method in methods:
            scored = scores.rows.num_images[name, method]
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
    keys, rows = scores.rows.kinds
    finite = ~np.isnan(scores.value)
    sums = np.bincount(keys[finite], weights=scores.value[finite], minlength=len(rows))
    counts = np.bincount(keys[finite], minlength=len(rows))
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
        own = own[~own["metric"].isin(set(filter(is_of_model, reference.names["metric"])) - record.metrics.keys())]
    for method in scores.names["method"]:
        used = method if method in reference.names["method"] else reference.names["method"][0]
        both = frame[frame["method"] == method].merge(
            own[own["method"] == used], on=KEY, how="outer", indicator=True, suffixes=("", "_own")
        )
        if (odd := both["_merge"] != "both").any():
            first = both[odd].iloc[0]
            verb = "lacks" if first["_merge"] == "right_only" else "has"
            rows = format_count(int(odd.sum()), "row")
            yield f"{verb} {rows}, such as {first['metric']} ({first['level']}), unlike the runs here"
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
