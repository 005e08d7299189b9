"""Scores as arrays: files of many rows are read batch by batch, and only the rows that a table shows are kept."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.storage.upgrade import METRICS

NAMES = ("image", "metric", "level", "characteristic")
"""Columns of a file of scores that hold names; `method` too where maps were drawn by several."""
METHOD, VALUE = "method", "value"
BATCH = 2**20
"""Rows that are held at once, before the wanted ones are taken out: 30 MB."""

Kind = tuple[str, str]
"""Metric and level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSection:
    """Scores of one metric at one level.

    Attributes:
        places: Place of the image among the test images, (M,).
        characteristics: Number of the characteristic, counted by name, (M,).
        values: Scores (M,); what is no number is undefined.
    """

    places: NDArray[np.integer]
    characteristics: NDArray[np.integer]
    values: NDArray[np.float64]


Scores = Mapping[Kind, ScoreSection]
"""By metric and level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """The rows of a section: which of a layout's rows they are, and what they score."""

    index: NDArray[np.intp]
    places: NDArray[np.integer]
    characteristics: NDArray[np.integer]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Which rows of a file are wanted, in their order, and by saliency method the sections that they make."""

    rows: NDArray[np.intp]
    parts: Mapping[str, Mapping[Kind, _Part]]

    def sections(self, values: NDArray[np.float64]) -> dict[str, Scores]:
        """The scores, from the values of the wanted rows."""
        return {
            method: {
                kind: ScoreSection(places=part.places, characteristics=part.characteristics, values=values[part.index])
                for kind, part in of_method.items()
            }
            for method, of_method in self.parts.items()
        }


class ScoreReader:
    """Reads the scores of cells, one after another.

    Cells of one data set list the same rows and differ in the values. Where the names of a file are stored byte by
    byte like those of the file before, they are not decoded again.

    Args:
        images: Names of the test images.
        methods: Saliency methods whose scores are wanted.
    """

    def __init__(self, images: Sequence[str], methods: Sequence[str]) -> None:
        self._images = pa.array(images, pa.string())
        self._methods = tuple(methods)
        self._known: tuple[bytes, frozenset[Kind]] | None = None
        self._layout: _Layout | None = None

    def read(self, path: Path, kinds: Collection[Kind]) -> dict[str, Scores]:
        """The scores of a cell by saliency method.

        Args:
            path: A scores.parquet.
            kinds: Metrics and levels that are wanted.

        Raises:
            ValueError: The file is damaged, or is of other images.
        """
        named = (*NAMES, METHOD)
        with _opened(path, named) as file:
            known = _fingerprint(file, path, named), frozenset(kinds)
            if self._layout is None or known != self._known:
                listing = _Listing(self._images, self._methods, kinds)
                for start, batch in _batches(file, named):
                    listing.add(batch, start)
                self._layout, self._known = listing.layout(), known
            return _filled([self._layout], file)[0]


def read_baselines(
    path: Path, protocol: str, images: Sequence[str], methods: Sequence[str], kinds: Collection[Kind]
) -> dict[str, dict[str, Scores]]:
    """The scores of the baselines by saliency method and name, in the order of the file.

    Args:
        path: A baselines.parquet.
        protocol: Rows of other protocols are passed over.
        images: Names of the test images.
        methods: Saliency methods; what needs none belongs to all of them.
        kinds: Metrics and levels that are wanted.

    Raises:
        ValueError: The file is damaged, or is of other images.
    """
    known, named = pa.array(images, pa.string()), (*NAMES, METHOD, "baseline", "protocol")
    listings: dict[str, _Listing] = {}
    with _opened(path, named) as file:
        for start, batch in _batches(file, named):
            protocols, protocol_of = _coded(batch, "protocol")
            baselines, yardstick_of = _coded(batch, "baseline")
            ours = np.array([name == protocol for name in protocols], dtype=np.bool_)[protocol_of]
            for number, name in enumerate(baselines):
                if (chosen := ours & (yardstick_of == number)).any():
                    listings.setdefault(name, _Listing(known, methods, kinds)).add(batch, start, chosen)
        filled = dict(zip(listings, _filled([each.layout() for each in listings.values()], file), strict=True))
    return {
        method: {
            name: filled[name][method]
            for name in sorted(listings, key=lambda name: listings[name].first(method))
            if np.isfinite(listings[name].first(method))
        }
        for method in methods
    }


class _Listing:
    """Collects the wanted rows of a file, batch by batch.

    Args:
        images: Names of the test images.
        methods: Saliency methods; rows without one belong to each of them.
        kinds: Metrics and levels that are wanted.
    """

    def __init__(self, images: pa.Array, methods: Sequence[str], kinds: Collection[Kind]) -> None:
        self._images, self._methods = images, methods
        self._accepted = {name: number for number, name in enumerate(dict.fromkeys([*methods, ""]))}
        self._kinds = {kind: number for number, kind in enumerate(sorted(kinds))}
        self._characteristics: dict[str, int] = {}
        self._first: dict[int, int] = {}
        self._pieces: list[tuple[NDArray[np.integer], ...]] = []

    def add(self, batch: pa.RecordBatch, start: int, chosen: NDArray[np.bool_] | None = None) -> None:
        """Takes what is wanted of some rows.

        Args:
            batch: The rows.
            start: Place of the first one in the file.
            chosen: Which of them belong here; without it all.

        Raises:
            ValueError: A score belongs to no test image.
        """
        names, method = _coded(batch, METHOD)
        method = np.array([self._accepted.get(name, -1) for name in names], dtype=np.int16)[method]
        if chosen is not None:
            method[~chosen] = -1
        for number in np.flatnonzero(np.bincount(method + 1)[1:]).tolist():
            self._first.setdefault(number, start + int((method == number).argmax()))
        place = _places(batch, self._images)
        if (place[method >= 0] < 0).any():
            raise ValueError("scores of images that are not among its predictions")
        metrics, metric = _coded(batch, "metric")
        levels, level = _coded(batch, "level")
        table = np.array([self._kinds.get(kind, -1) for kind in product(metrics, levels)], dtype=np.int32)
        kind = table[metric * len(levels) + level]
        names, characteristic = _coded(batch, "characteristic")
        numbers = [self._characteristics.setdefault(name, len(self._characteristics)) for name in names]
        characteristic = np.array(numbers, dtype=np.int32)[characteristic]
        rows = np.flatnonzero((method >= 0) & (kind >= 0))
        self._pieces.append((start + rows, *(codes[rows] for codes in (method, kind, place, characteristic))))

    def first(self, method: str) -> float:
        """Place of the first row of a method, or of one that belongs to all; infinite where there is none."""
        return min(self._first.get(self._accepted[name], np.inf) for name in (method, ""))

    def layout(self) -> _Layout:
        """The rows that were wanted, apart by method, metric and level, in the order of the file."""
        if not self._pieces:
            return _Layout(rows=np.zeros(0, dtype=np.intp), parts={method: {} for method in self._methods})
        rows, method, kind, place, characteristic = map(np.concatenate, zip(*self._pieces, strict=True))
        # Counted by name, so that every file counts them alike.
        ranks = np.zeros(len(self._characteristics), dtype=np.int32)
        ranks[[self._characteristics[name] for name in sorted(self._characteristics)]] = np.arange(len(ranks))
        # Numbers of 16 bits are sorted by counting, which takes a tenth of the time.
        kind = kind.astype(np.int16) if len(self._kinds) < np.iinfo(np.int16).max else kind
        parts: dict[str, dict[Kind, _Part]] = {}
        for name in self._methods:
            of_method = np.flatnonzero((method == self._accepted[name]) | (method == self._accepted[""]))
            order = of_method[np.argsort(kind[of_method], kind="stable")]
            ends = np.searchsorted(kind[order], np.arange(len(self._kinds) + 1))
            parts[name] = {
                each: _Part(index=index, places=place[index], characteristics=ranks[characteristic[index]])
                for each, number in self._kinds.items()
                if len(index := order[ends[number] : ends[number + 1]])
            }
        return _Layout(rows=rows, parts=parts)


@contextmanager
def _opened(path: Path, names: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """A file of scores whose names are read as numbers; ValueError says what is wrong with it."""
    try:
        with pq.ParquetFile(path, read_dictionary=list(names)) as file:
            absent = [name for name in (*names, VALUE) if name not in file.schema_arrow.names]
            if absent:
                raise ValueError(f"{path.name} lacks the column {absent[0]}")
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is damaged ({str(error).splitlines()[0][:80]})") from None


def _batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Some columns of all rows, with the place of each batch's first row."""
    start = 0
    for batch in file.iter_batches(BATCH, columns=list(columns), use_threads=False):
        yield start, batch
        start += batch.num_rows


def _filled(layouts: Sequence[_Layout], file: pq.ParquetFile) -> list[dict[str, Scores]]:
    """The scores of each layout; the values of a file are read once."""
    taken: list[list[NDArray[np.float64]]] = [[np.zeros(0)] for _ in layouts]
    for start, batch in _batches(file, [VALUE]):
        values = batch.column(0).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        for layout, into in zip(layouts, taken, strict=True):
            first, last = np.searchsorted(layout.rows, (start, start + len(values)))
            into.append(values[layout.rows[first:last] - start])
    return [layout.sections(np.concatenate(into)) for layout, into in zip(layouts, taken, strict=True)]


def _fingerprint(file: pq.ParquetFile, path: Path, columns: Sequence[str]) -> bytes:
    """Stands for the content of some columns: their bytes as they are stored, and how these are to be read."""
    found = hashlib.blake2b(str(file.schema_arrow).encode())
    size = path.stat().st_size
    with path.open("rb") as raw:
        for group in (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                if chunk.path_in_schema in columns:
                    told = (chunk.path_in_schema, chunk.num_values, chunk.compression, chunk.encodings)
                    found.update(repr(told).encode())
                    raw.seek(min(max(chunk.dictionary_page_offset or chunk.data_page_offset, 0), size))
                    found.update(raw.read(min(max(chunk.total_compressed_size, 0), size)))
    return found.digest()


def _coded(batch: pa.RecordBatch, column: str) -> tuple[list[str], NDArray[np.integer]]:
    """Names and, for each row, which it is."""
    array = _dictionary(batch, column)
    # A file may tell of its names by numbers of 8 bits, which the number of a metric and level need not fit.
    names = [str(name) for name in array.dictionary.to_pylist()]
    if column == "metric":
        names = [METRICS.get(name, name) for name in names]
    return names, array.indices.to_numpy().astype(np.int32, copy=False)


def _places(batch: pa.RecordBatch, images: pa.Array) -> NDArray[np.int32]:
    """Place of the image of each row among the test images; -1 for others."""
    array = _dictionary(batch, "image")
    places = pc.index_in(array.dictionary.cast(images.type), value_set=images).fill_null(-1)
    return places.to_numpy()[array.indices.to_numpy()]


def _dictionary(batch: pa.RecordBatch, column: str) -> pa.DictionaryArray:
    array = batch.column(column)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    if array.null_count:
        raise ValueError(f"empty cells in the column {column}")
    return array
