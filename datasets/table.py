"""Reading the tables that data sets come with, however they were saved."""

import csv
from collections.abc import Sequence
from pathlib import Path


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file, by column name.

    Takes commas or semicolons, any line ending, a byte-order mark and blanks around headers and values.

    Args:
        path: The file.
        columns: Names of columns that must be there; others are kept too.

    Raises:
        ValueError: The file is missing, is no table, lacks a column, or a row lacks a value of it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; it must have the columns {', '.join(columns)}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; save it again as UTF-8") from None
    lines = [line for line in text.splitlines() if line.strip(" ,;\t")]
    if not lines:
        raise ValueError(f"{path} is empty; it must have the columns {', '.join(columns)}")
    delimiter = ";" if lines[0].count(";") > lines[0].count(",") else ","
    try:
        rows = [[value.strip() for value in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise ValueError(f"{path} is no table ({error}); save it again as CSV") from None
    header = rows[0]
    if missing := [name for name in columns if name not in header]:
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {', '.join(header)}")
    table = [dict(zip(header, row, strict=False)) for row in rows[1:]]
    for number, found in enumerate(table, start=1):
        if missing := [name for name in columns if not found.get(name)]:
            raise ValueError(f"{path}: row {number} has no {missing[0]}; fill it in or remove the row")
    return table
