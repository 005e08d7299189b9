"""What is known of a row, read from its files once and kept as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

NAMES = ("image", "metric", "level", "characteristic")
"""Columns of a file of scores that hold names; `method` too where maps were drawn by several."""
PREDICTED = ("image", "group", "label", "predicted")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Scores of one metric at one level.

    Attributes:
        places: Place of the image among the test images, (M,).
        characteristics: Number of the characteristic, counted by name, (M,).
        values: Scores (M,); what is no number is undefined.
    """

    places: NDArray[np.int64]
    characteristics: NDArray[np.int64]
    values: NDArray[np.float64]


Scores = Mapping[tuple[str, str], Section]
"""By metric and level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known of one model or yardstick.

    Attributes:
        images: Names of the test images, in the order of the bootstrap's weights.
        classes: Names of the classes.
        scores: Of the maps of one method.
        predictions: Rows of :func:`benchmark.diagnosis.predictions.diagnose` in the order of the images; None for a
            yardstick.
    """

    images: Sequence[str]
    classes: tuple[str, ...]
    scores: Scores = field(default_factory=dict)
    predictions: pd.DataFrame | None


def read_predictions(path: Path, images: Sequence[str] | None = None) -> pd.DataFrame:
    """The predictions of a cell, in the order of the images.

    Args:
        path: A predictions.parquet.
        images: Names of the test images; None takes the file's own.

    Raises:
        ValueError: The file is damaged, or is of other images.
    """
    frame = _table(path, PREDICTED).to_pandas()
    if not frame["image"].is_unique or not len(frame):
        raise ValueError("names of images that are missing or stand twice")
    if images is None:
        return frame
    if len(frame) != len(images) or set(frame["image"]) != set(images):
        raise ValueError("other test images than those of the other records")
    if list(frame["image"]) == list(images):
        return frame
    return frame.set_index("image").loc[list(images)].reset_index()


def read_scores(path: Path, images: Sequence[str], methods: Sequence[str]) -> dict[str, Scores]:
    """The scores of a cell by saliency method.

    Raises:
        ValueError: The file is damaged, or is of other images.
    """
    table = _table(path, (*NAMES, "method", "value"), strings=(*NAMES, "method"))
    return {method: sections(table, images, [method, ""]) for method in methods}


def sections(table: pa.Table, images: Sequence[str], methods: Sequence[str]) -> Scores:
    """The scores of some methods, apart by metric and level.

    Args:
        table: Columns of a file of scores; without a column method, all of it is taken.
        images: Names of the test images.
        methods: Names of the methods.

    Raises:
        ValueError: A score belongs to no test image.
    """
    metrics, metric = _coded(table, "metric")
    levels, level = _coded(table, "level")
    kind = metric * len(levels) + level
    if "method" in table.column_names:
        names, method = _coded(table, "method")
        kind = np.where(np.isin(method, [names.index(name) for name in methods if name in names]), kind, -1)
    order = np.argsort(kind, kind="stable")
    order = order[np.searchsorted(kind[order], 0) :]
    known, image = _coded(table, "image")
    place = {name: number for number, name in enumerate(images)}
    places = np.array([place.get(name, -1) for name in known], dtype=np.int64)[image[order]]
    if (places < 0).any():
        raise ValueError("scores of images that are not among its predictions")
    characteristic = _by_name(*_coded(table, "characteristic"))[order]
    values = table["value"].to_numpy().astype(np.float64)[order]
    kinds, starts = np.unique(kind[order], return_index=True)
    found = {}
    for number, start, end in zip(kinds, starts, [*starts[1:], len(order)], strict=True):
        part = slice(start, end)
        name = (metrics[number // len(levels)], levels[number % len(levels)])
        found[name] = Section(places=places[part], characteristics=characteristic[part], values=values[part])
    return found


def as_table(frame: pd.DataFrame) -> pa.Table:
    """Scores from a data frame, for :func:`sections`."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def _table(path: Path, columns: Sequence[str], strings: Sequence[str] = ()) -> pa.Table:
    try:
        if not strings:
            table = pq.read_table(path, use_threads=False)
        else:
            table = pq.read_table(path, columns=list(columns), read_dictionary=list(strings), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is damaged ({str(error).splitlines()[0][:80]})") from None
    absent = [name for name in columns if name not in table.column_names]
    if absent:
        raise ValueError(f"{path.name} lacks the column {absent[0]}")
    return table


def _coded(table: pa.Table, column: str) -> tuple[list[str], NDArray[np.int64]]:
    """Names and, for each row, which it is."""
    array = table[column].combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks() if array.num_chunks else pa.array([], pa.string())
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    if array.null_count:
        raise ValueError(f"empty cells in the column {column}")
    return [str(name) for name in array.dictionary.to_pylist()], array.indices.to_numpy().astype(np.int64)


def _by_name(names: list[str], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes that follow the order of the names, so that every file counts them alike."""
    rank = {name: number for number, name in enumerate(sorted(names))}
    return np.array([rank[name] for name in names], dtype=np.int64)[codes]
