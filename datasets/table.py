"""Reading the tables of data sets in their various dialects."""

import csv
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 200_000_000
"""Larger tables are rejected. No table of a known data set comes near this size."""


def read_table(
    path: Path, columns: Sequence[str], *, header: bool = True, count: int | None = None
) -> list[dict[str, str]]:
    """Reads the rows of a CSV file as dictionaries by column name.

    Accepts commas, semicolons or tabs, any line ending, a byte-order mark and blanks around headers and values.

    Args:
        path: The file.
        columns: Names of required columns, which must have a value in every row. Other columns are returned too.
        header: Whether the file names its columns. If not, they are `columns`, in this order, and a first line that
            repeats the names is skipped.
        count: Expected number of rows. None accepts any.

    Raises:
        ValueError: The file is missing, is no table, has another number of rows, or lacks a column or a value.
    """
    rows = _rows(path, columns)
    names = rows[0] if header else list(columns)
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {', '.join(names)[:200]}")
    if rows[0] == names:
        rows = rows[1:]
    table = [dict(zip(names, row, strict=False)) for row in rows]
    for number, row in enumerate(table, start=1):
        if missing := [name for name in columns if not row.get(name)]:
            raise ValueError(f"{path}: row {number} has no {missing[0]}; fill it in or remove the row")
    if count is not None and len(table) != count:
        raise ValueError(f"{path} has {len(table)} rows, not {count}; fetch it again")
    return table


def read_one_hot(path: Path, key: str, names: Sequence[str], *, neither: str = "") -> list[tuple[str, str]]:
    """Reads a one-hot table as pairs of a row's key and the name of a column that is 1.

    Args:
        path: The file.
        key: Name of the column with the keys.
        names: Names of the columns with 0 or 1. A row yields one pair for each 1.
        neither: The name to use for rows without a 1.

    Raises:
        ValueError: As :func:`read_table`, or a label is neither 0 nor 1.
    """
    pairs: list[tuple[str, str]] = []
    for row in read_table(path, [key, *names]):
        try:
            pairs += [(row[key], name) for name in [name for name in names if parse_flag(row[name])] or [neither]]
        except ValueError as error:
            raise ValueError(f"{path}: {row[key]}: {error}") from None
    return pairs


def read_values(path: Path, key: str, rows: int) -> NDArray[np.generic]:
    """Reads one value for each row, (rows,), from an HDF5 file.

    Args:
        path: The file.
        key: Name of the values in the file. Axes of length one are dropped.
        rows: Expected number of values.

    Raises:
        ValueError: The file is damaged, lacks the values or has another number of them.
    """
    try:
        with h5py.File(path, "r") as file:
            values = np.asarray(file[key])
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as HDF5 with {key!r} ({error}); fetch it again") from None
    if values.shape[:1] != (rows,) or values.size != rows:
        raise ValueError(f"{path} holds {key!r} of shape {values.shape} for {rows} rows; fetch it again")
    return values.reshape(rows)


def read_lines(path: Path, expected: str) -> list[str]:
    """Reads the non-blank lines of a text file, with any line ending and without the byte-order mark.

    Args:
        path: The file.
        expected: What the file must have, for messages.

    Raises:
        ValueError: The file is missing, too large, empty or not text.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} has more than {MAX_BYTES:,} bytes; a table of a data set is smaller")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; it must have {expected}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; save it again as UTF-8") from None
    lines = [line for line in text.splitlines() if line.strip(" ,;\t")]
    if not lines:
        raise ValueError(f"{path} is empty; it must have {expected}")
    return lines


def _rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    lines = read_lines(path, f"the columns {', '.join(columns)}")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        return [[value.strip() for value in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise ValueError(f"{path} is no table ({error}); save it again as CSV") from None


def parse_flag(value: str) -> bool:
    """Parses a label that is 0 or 1, written as a number."""
    try:
        return {0.0: False, 1.0: True}[float(value)]
    except (ValueError, KeyError):
        raise ValueError(f"{value!r} is no label; it must be 0 or 1") from None
