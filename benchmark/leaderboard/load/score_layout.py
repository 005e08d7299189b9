"""The layout of a file of scores: which rows a table needs, and the sections that they form."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmark.storage.upgrade import METRICS

METHOD_COLUMN = "method"

Kind = tuple[str, str]
"""Metric and level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSection:
    """Scores of one metric at one level.

    Attributes:
        image_indices: Index of the image among the test images, (M,).
        characteristics: Index of the characteristic, in the order of the names, (M,).
        values: Scores (M,); values that are not finite are undefined.
    """

    image_indices: NDArray[np.integer]
    characteristics: NDArray[np.integer]
    values: NDArray[np.float64]


Scores = Mapping[Kind, ScoreSection]
"""By metric and level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _SectionLayout:
    """The rows of a section, as indices into the rows of the layout, with their images and characteristics."""

    row_indices: NDArray[np.intp]
    image_indices: NDArray[np.integer]
    characteristics: NDArray[np.integer]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreLayout:
    """The rows of a file that are needed, in their order, and the sections that they form.

    Attributes:
        rows: Indices of the rows in the file, ascending.
        sections_by_method: By saliency method, metric and level.
    """

    rows: NDArray[np.intp]
    sections_by_method: Mapping[str, Mapping[Kind, _SectionLayout]]

    def sections(self, values: NDArray[np.float64]) -> dict[str, Scores]:
        """Returns the scores by saliency method, from the values of the rows."""
        return {
            method: {
                kind: ScoreSection(
                    image_indices=section.image_indices,
                    characteristics=section.characteristics,
                    values=values[section.row_indices],
                )
                for kind, section in sections.items()
            }
            for method, sections in self.sections_by_method.items()
        }


class LayoutBuilder:
    """Collects the needed rows of a file, batch by batch.

    Names are replaced by integer codes at once, so that memory is small for files of many rows.

    Args:
        images: Names of the test images.
        methods: Saliency methods. Rows without a method belong to each of them.
        kinds: Metrics and levels to collect.
    """

    def __init__(self, images: pa.Array, methods: Sequence[str], kinds: Collection[Kind]) -> None:
        self._images, self._methods = images, methods
        self._method_codes = {name: code for code, name in enumerate(dict.fromkeys([*methods, ""]))}
        self._kind_codes = {kind: code for code, kind in enumerate(sorted(kinds))}
        self._characteristic_codes: dict[str, int] = {}
        self._first_rows: dict[int, int] = {}
        self._pieces: list[tuple[NDArray[np.integer], ...]] = []

    def add(self, batch: pa.RecordBatch, start: int, mask: NDArray[np.bool_] | None = None) -> None:
        """Collects the needed rows of a batch.

        Args:
            batch: The rows.
            start: Index of its first row in the file.
            mask: Which of its rows to consider; by default all.

        Raises:
            ValueError: A score belongs to no test image.
        """
        names, method = decode(batch, METHOD_COLUMN)
        method = np.array([self._method_codes.get(name, -1) for name in names], dtype=np.int16)[method]
        if mask is not None:
            method[~mask] = -1
        for code in np.flatnonzero(np.bincount(method + 1)[1:]).tolist():
            self._first_rows.setdefault(code, start + int((method == code).argmax()))
        image = _image_indices(batch, self._images)
        if (image[method >= 0] < 0).any():
            raise ValueError("scores of images that are not among its predictions")
        metrics, metric = decode(batch, "metric")
        levels, level = decode(batch, "level")
        kind_table = np.array([self._kind_codes.get(kind, -1) for kind in product(metrics, levels)], dtype=np.int32)
        kind = kind_table[metric * len(levels) + level]
        names, characteristic = decode(batch, "characteristic")
        codes = [self._characteristic_codes.setdefault(name, len(self._characteristic_codes)) for name in names]
        characteristic = np.array(codes, dtype=np.int32)[characteristic]
        rows = np.flatnonzero((method >= 0) & (kind >= 0))
        self._pieces.append((start + rows, *(column[rows] for column in (method, kind, image, characteristic))))

    def first_row(self, method: str) -> float:
        """Returns the index of the first row of a method, or of one without a method; infinite without any."""
        return min(self._first_rows.get(self._method_codes[name], np.inf) for name in (method, ""))

    def layout(self) -> ScoreLayout:
        """Returns the collected rows, split by method, metric and level, in the order of the file."""
        if not self._pieces:
            empty: dict[str, dict[Kind, _SectionLayout]] = {method: {} for method in self._methods}
            return ScoreLayout(rows=np.zeros(0, dtype=np.intp), sections_by_method=empty)
        rows, method, kind, image, characteristic = map(np.concatenate, zip(*self._pieces, strict=True))
        # Codes in the order of the names, so that they do not depend on the order of the rows in a file.
        ranks = np.zeros(len(self._characteristic_codes), dtype=np.int32)
        ranks[[self._characteristic_codes[name] for name in sorted(self._characteristic_codes)]] = np.arange(len(ranks))
        # NumPy sorts integers of 16 bits by counting, which takes a tenth of the time.
        kind = kind.astype(np.int16) if len(self._kind_codes) < np.iinfo(np.int16).max else kind
        sections_by_method: dict[str, dict[Kind, _SectionLayout]] = {}
        for name in self._methods:
            selected = np.flatnonzero((method == self._method_codes[name]) | (method == self._method_codes[""]))
            order = selected[np.argsort(kind[selected], kind="stable")]
            ends = np.searchsorted(kind[order], np.arange(len(self._kind_codes) + 1))
            sections_by_method[name] = {
                kind_name: _SectionLayout(
                    row_indices=indices, image_indices=image[indices], characteristics=ranks[characteristic[indices]]
                )
                for kind_name, code in self._kind_codes.items()
                if len(indices := order[ends[code] : ends[code + 1]])
            }
        return ScoreLayout(rows=rows, sections_by_method=sections_by_method)


def decode(batch: pa.RecordBatch, column: str) -> tuple[list[str], NDArray[np.integer]]:
    """Returns the names of a column, and for each row the index of its name.

    Raises:
        ValueError: A cell is empty.
    """
    array = _dictionary_array(batch, column)
    names = [str(name) for name in array.dictionary.to_pylist()]
    if column == "metric":
        names = [METRICS.get(name, name) for name in names]
    # A file may store indices of 8 bits. The product of metric and level may not fit into them.
    return names, array.indices.to_numpy().astype(np.int32, copy=False)


def _image_indices(batch: pa.RecordBatch, images: pa.Array) -> NDArray[np.int32]:
    """Returns the index of the image of each row among the test images; -1 for other images."""
    array = _dictionary_array(batch, "image")
    indices = pc.index_in(array.dictionary.cast(images.type), value_set=images).fill_null(-1)
    return indices.to_numpy()[array.indices.to_numpy()]


def _dictionary_array(batch: pa.RecordBatch, column: str) -> pa.DictionaryArray:
    array = batch.column(column)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    if array.null_count:
        raise ValueError(f"empty cells in the column {column}")
    return array
