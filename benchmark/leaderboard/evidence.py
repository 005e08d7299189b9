"""What is known of a row, read from its files once and kept as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
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
    coded = _decoded(table, images)
    return {method: _apart(coded, [method, ""]) for method in methods}


def sections(table: pa.Table, images: Sequence[str], methods: Sequence[str]) -> Scores:
    """The scores of some methods, apart by metric and level.

    Args:
        table: Columns of a file of scores; without a column method, all of it is taken.
        images: Names of the test images.
        methods: Names of the methods.

    Raises:
        ValueError: A score belongs to no test image.
    """
    return _apart(_decoded(table, images), methods)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Coded:
    """Columns of a file of scores as numbers, and what these stand for; no methods where there is no such column."""

    kinds: list[tuple[str, str]]
    kind: NDArray[np.int64]
    methods: list[str]
    method: NDArray[np.int64]
    places: NDArray[np.int64]
    characteristics: NDArray[np.int64]
    scores: NDArray[np.float64]


def _decoded(table: pa.Table, images: Sequence[str]) -> _Coded:
    metrics, metric = _coded(table, "metric")
    levels, level = _coded(table, "level")
    known, image = _coded(table, "image")
    place = {name: number for number, name in enumerate(images)}
    methods, method = _coded(table, "method") if "method" in table.column_names else ([], np.zeros(0, dtype=np.int64))
    return _Coded(
        kinds=list(product(metrics, levels)),
        kind=metric * len(levels) + level,
        methods=methods,
        method=method,
        places=np.array([place.get(name, -1) for name in known], dtype=np.int64)[image],
        characteristics=_by_name(*_coded(table, "characteristic")),
        scores=table["value"].to_numpy().astype(np.float64, copy=False),
    )


def _apart(coded: _Coded, methods: Sequence[str]) -> Scores:
    """By metric and level, in the order of the file."""
    kind = coded.kind
    # Numbers of 16 bits are sorted by counting, which takes a tenth of the time.
    kind = kind.astype(np.int16) if len(coded.kinds) < np.iinfo(np.int16).max else kind
    if coded.methods:
        wanted = [coded.methods.index(name) for name in methods if name in coded.methods]
        rows = np.flatnonzero(np.isin(coded.method, wanted))
        order = rows[np.argsort(kind[rows], kind="stable")]
    else:
        order = np.argsort(kind, kind="stable")
    places = coded.places[order]
    if (places < 0).any():
        raise ValueError("scores of images that are not among its predictions")
    characteristics, values, kind = coded.characteristics[order], coded.scores[order], kind[order]
    starts = np.flatnonzero(np.diff(kind, prepend=-1))
    found = {}
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        part = slice(start, end)
        section = Section(places=places[part], characteristics=characteristics[part], values=values[part])
        found[coded.kinds[kind[start]]] = section
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
