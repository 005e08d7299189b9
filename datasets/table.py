"""Reading the tables of data sets in their various dialects."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from datasets.files import read_bytes

MAX_BYTES = 200_000_000
"""Larger tables are rejected. No table of a known data set comes near this size."""
MAX_ROWS, MAX_CELLS = 1_000_000, 10_000_000
"""Longer tables are rejected before they are split into cells, which take a hundred times the memory of the file."""


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
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"{path} has two columns {twice[0]!r}; rename or remove one of them")
    if rows[0] == names:
        rows = rows[1:]
    table = [_to_dict(path, names, columns, number, row) for number, row in enumerate(rows, start=1)]
    if count is not None and len(table) != count:
        raise ValueError(f"{path} has {len(table)} rows, not {count}; fetch it again")
    return table


def _to_dict(path: Path, names: list[str], required: Sequence[str], number: int, row: list[str]) -> dict[str, str]:
    """Returns a row by column name. Empty cells behind the last column do not count."""
    cells = dict(zip(names, row, strict=False))
    if missing := [name for name in required if not cells.get(name)]:
        raise ValueError(f"{path}: row {number} has no {missing[0]}; fill it in or remove the row")
    if len(row) < len(names) or any(row[len(names) :]):
        raise ValueError(f"{path}: row {number} has {len(row)} values for {len(names)} columns; add or remove commas")
    return cells


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


def read_lines(path: Path, expected: str) -> list[str]:
    """Reads the non-blank lines of a text file, with any line ending and without the byte-order mark.

    Args:
        path: The file.
        expected: What the file must have, for messages.

    Raises:
        ValueError: The file is missing, too large, empty or not text.
    """
    lines = [line for line in _read_text(path, expected).splitlines() if line.strip(" ,;\t")]
    if not lines:
        raise ValueError(f"{path} is empty; it must have {expected}")
    return lines


def _read_text(path: Path, expected: str) -> str:
    try:
        return read_bytes(path, MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; it must have {expected}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; save it again as UTF-8") from None


def _rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Splits a table into cells without blanks around them. Rows without any value are dropped."""
    expected = f"the columns {', '.join(columns)}"
    text = _read_text(path, expected)
    first = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    delimiter = max(",;\t", key=first.count)
    _reject_long(path, text)
    try:
        # Strict: an open quote would swallow the rows behind it.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [[value.strip() for value in row] for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path} is no table ({error}); save it again as CSV") from None
    rows = [row for row in rows if any(row)]
    if broken := [row for row in rows if any("\n" in value or "\r" in value for value in row)]:
        raise ValueError(f"{path} has a line break within a cell, near {broken[0][0][:40]!r}; remove it or its quotes")
    if not rows:
        raise ValueError(f"{path} is empty; it must have {expected}")
    return rows


def _reject_long(path: Path, text: str) -> None:
    rows = max(text.count("\n"), text.count("\r"))
    if rows > MAX_ROWS or text.count(",") + text.count(";") + text.count("\t") > MAX_CELLS:
        raise ValueError(f"{path} has more than {MAX_ROWS:,} rows or {MAX_CELLS:,} cells; split it")


def parse_flag(value: str) -> bool:
    """Parses a label that is 0 or 1, written as a number."""
    try:
        return {0.0: False, 1.0: True}[float(value)]
    except (ValueError, KeyError):
        raise ValueError(f"{value!r} is no label; it must be 0 or 1") from None
