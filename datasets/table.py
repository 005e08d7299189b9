"""Reading the tables that data sets come with, however they were saved."""

import csv
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 200_000_000
"""Larger tables are refused: none of the field's is near it."""


def read_table(
    path: Path, columns: Sequence[str], *, header: bool = True, count: int | None = None
) -> list[dict[str, str]]:
    """Rows of a CSV file, by column name.

    Takes commas, semicolons or tabs, any line ending, a byte-order mark and blanks around headers and values.

    Args:
        path: The file.
        columns: Names of columns that must be there, and be filled in; others are kept too.
        header: Whether the file names its columns; if not, they are `columns`, in this order. A first line that
            repeats the names is then skipped.
        count: How many rows there must be, where that is known.

    Raises:
        ValueError: The file is missing, is no table, lacks a column or rows, or a row lacks a value of a column.
    """
    rows = _rows(path, columns)
    names = rows[0] if header else list(columns)
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {', '.join(names)[:200]}")
    if rows[0] == names:
        rows = rows[1:]
    table = [dict(zip(names, row, strict=False)) for row in rows]
    for number, found in enumerate(table, start=1):
        if missing := [name for name in columns if not found.get(name)]:
            raise ValueError(f"{path}: row {number} has no {missing[0]}; fill it in or remove the row")
    if count is not None and len(table) != count:
        raise ValueError(f"{path} has {len(table)} rows, not {count}; fetch it again")
    return table


def read_one_hot(path: Path, key: str, names: Sequence[str], *, neither: str = "") -> list[tuple[str, str]]:
    """What each row of a CSV file says yes to: pairs of its key and the name of a column.

    Args:
        path: The file.
        key: Name of the column with the keys.
        names: Names of the columns with 0 or 1. A row with several ones makes as many pairs.
        neither: What stands for the name in rows without a one.

    Raises:
        ValueError: As :func:`read_table`, or a label is neither 0 nor 1.
    """
    pairs: list[tuple[str, str]] = []
    for row in read_table(path, [key, *names]):
        try:
            pairs += [(row[key], name) for name in [name for name in names if is_yes(row[name])] or [neither]]
        except ValueError as error:
            raise ValueError(f"{path}: {row[key]}: {error}") from None
    return pairs


def read_values(path: Path, key: str, rows: int) -> NDArray[np.generic]:
    """One value for each row, (rows,), from an HDF5 file.

    Args:
        path: The file.
        key: Name of the values in the file. Axes of length one are dropped.
        rows: How many values there must be.

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


def read_lines(path: Path, wanted: str) -> list[str]:
    """The lines of a text file that are not blank, with any line ending and without a byte-order mark.

    Args:
        path: The file.
        wanted: What the file must have, for messages.

    Raises:
        ValueError: The file is missing, too large, empty or no text.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path} has more than {MOST_BYTES:,} bytes; a table of a data set is smaller")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; it must have {wanted}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; save it again as UTF-8") from None
    lines = [line for line in text.splitlines() if line.strip(" ,;\t")]
    if not lines:
        raise ValueError(f"{path} is empty; it must have {wanted}")
    return lines


def _rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    lines = read_lines(path, f"the columns {', '.join(columns)}")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        return [[value.strip() for value in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise ValueError(f"{path} is no table ({error}); save it again as CSV") from None


def is_yes(value: str) -> bool:
    """Whether a 0/1 label, written as a number, says yes."""
    try:
        return {0.0: False, 1.0: True}[float(value)]
    except (ValueError, KeyError):
        raise ValueError(f"{value!r} is no label; it must be 0 or 1") from None
