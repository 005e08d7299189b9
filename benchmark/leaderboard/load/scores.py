"""Reads scores as arrays: files of many rows are read batch by batch, and only the needed rows stay in memory."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.leaderboard.load.score_layout import METHOD_COLUMN, Kind, LayoutBuilder, ScoreLayout, Scores, decode
from benchmark.storage.parquet import open_parquet

NAME_COLUMNS = ("image", "metric", "level", "characteristic")
"""Columns of names in every file of scores; :data:`METHOD_COLUMN` is another one."""
VALUE_COLUMN = "value"
BATCH = 2**20
"""Number of rows that are held at once, before the needed ones are selected: 30 MB."""


class ScoreReader:
    """Reads the scores of cells, one after another.

    Cells of one data set have the same rows and differ in the values. The layout of the latest file is therefore
    cached. It is used again if the bytes of all names are equal, and the names are not decoded again.

    Args:
        images: Names of the test images.
        methods: Saliency methods to read.
    """

    def __init__(self, images: Sequence[str], methods: Sequence[str]) -> None:
        self._images = pa.array(images, pa.string())
        self._methods = tuple(methods)
        self._cache_key: tuple[bytes, frozenset[Kind]] | None = None
        self._layout: ScoreLayout | None = None

    def read(self, path: Path, kinds: Collection[Kind]) -> dict[str, Scores]:
        """Reads the scores of a cell by saliency method.

        Args:
            path: A scores.parquet.
            kinds: Metrics and levels to read.

        Raises:
            ValueError: The file is damaged, or has other images.
        """
        columns = (*NAME_COLUMNS, METHOD_COLUMN)
        with _open_scores(path, columns) as file:
            cache_key = hash_columns(file, path, columns), frozenset(kinds)
            if self._layout is None or cache_key != self._cache_key:
                builder = LayoutBuilder(self._images, self._methods, kinds)
                for start, batch in _batches(file, columns):
                    builder.add(batch, start)
                self._layout, self._cache_key = builder.layout(), cache_key
            return _read_values([self._layout], file)[0]


def read_baselines(
    path: Path, protocol: str, images: Sequence[str], methods: Sequence[str], kinds: Collection[Kind]
) -> dict[str, dict[str, Scores]]:
    """Reads the scores of the baselines by saliency method and name, in the order of the file.

    Args:
        path: A baselines.parquet.
        protocol: Rows of other protocols are ignored.
        images: Names of the test images.
        methods: Saliency methods. Baselines without a method belong to all of them.
        kinds: Metrics and levels to read.

    Raises:
        ValueError: The file is damaged, or has other images.
    """
    test_images = pa.array(images, pa.string())
    columns = (*NAME_COLUMNS, METHOD_COLUMN, "baseline", "protocol")
    builders: dict[str, LayoutBuilder] = {}
    with _open_scores(path, columns) as file:
        for start, batch in _batches(file, columns):
            protocols, protocol_code = decode(batch, "protocol")
            baselines, baseline_code = decode(batch, "baseline")
            same_protocol = np.array([name == protocol for name in protocols], dtype=np.bool_)[protocol_code]
            for code, name in enumerate(baselines):
                if (mask := same_protocol & (baseline_code == code)).any():
                    builders.setdefault(name, LayoutBuilder(test_images, methods, kinds)).add(batch, start, mask)
        layouts = [builder.layout() for builder in builders.values()]
        scores = dict(zip(builders, _read_values(layouts, file), strict=True))
    return {
        method: {
            name: scores[name][method]
            for name in sorted(builders, key=lambda name: builders[name].first_row(method))
            if np.isfinite(builders[name].first_row(method))
        }
        for method in methods
    }


@contextmanager
def _open_scores(path: Path, names: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """Opens a file of scores whose names are read as integer codes.

    Raises:
        ValueError: The file lacks a column or is damaged.
    """
    try:
        with open_parquet(path, names) as file:
            absent = [name for name in (*names, VALUE_COLUMN) if name not in file.schema_arrow.names]
            if absent:
                raise ValueError(f"{path.name} lacks the column {absent[0]}")
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is damaged ({str(error).splitlines()[0][:80]})") from None


def _batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yields some columns of all rows, with the index of the first row of each batch."""
    start = 0
    for batch in file.iter_batches(BATCH, columns=list(columns), use_threads=False):
        yield start, batch
        start += batch.num_rows


def _read_values(layouts: Sequence[ScoreLayout], file: pq.ParquetFile) -> list[dict[str, Scores]]:
    """Reads the scores of all layouts in one pass over the values of a file."""
    pieces: list[list[NDArray[np.float64]]] = [[np.zeros(0)] for _ in layouts]
    for start, batch in _batches(file, [VALUE_COLUMN]):
        values = batch.column(0).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        for layout, layout_pieces in zip(layouts, pieces, strict=True):
            first, last = np.searchsorted(layout.rows, (start, start + len(values)))
            layout_pieces.append(values[layout.rows[first:last] - start])
    return [layout.sections(np.concatenate(values)) for layout, values in zip(layouts, pieces, strict=True)]


def hash_columns(file: pq.ParquetFile, path: Path, columns: Sequence[str]) -> bytes:
    """Hashes the content of some columns: their stored bytes, and how to decode these."""
    digest = hashlib.blake2b(str(file.schema_arrow).encode())
    size = path.stat().st_size
    with path.open("rb") as raw:
        for group in (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                if chunk.path_in_schema in columns:
                    encoding = (chunk.path_in_schema, chunk.num_values, chunk.compression, chunk.encodings)
                    digest.update(repr(encoding).encode())
                    # A damaged file may have any offset and size. A chunk starts at the smaller of the two.
                    offsets = chunk.data_page_offset, chunk.dictionary_page_offset or 0
                    raw.seek(max(0, min((*filter(None, offsets), size))))
                    digest.update(raw.read(min(max(chunk.total_compressed_size, 0), size)))
    return digest.digest()
