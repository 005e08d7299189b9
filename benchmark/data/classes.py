"""Matching the classes of two data sets by name: numbers and order say nothing."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.errors import UserError
from datasets import DatasetIndex
from datasets.table import read_table

REMEDY = "name its match in a table with the columns from,to (to empty leaves it out) and give it with --class-map"


def with_classes_of(data: DatasetIndex, classes: Sequence[str], table: Path | None) -> DatasetIndex:
    """A data set under the class names of another one.

    Names match if they are equal but for case, blanks, hyphens and underscores, or if the table says so.

    Args:
        data: To be renamed.
        classes: The names to use.
        table: CSV file with the columns `from` and `to`; an empty `to` leaves the class out. A row with an empty
            `from` says that a class of the other set is known to be absent here.

    Raises:
        UserError: A class of either set matches none of the other.
    """
    named = _read(table) if table else {}
    absent = named.pop("", ())
    wanted = {_plain(name): name for name in classes}
    match: dict[str, str] = {}
    for name in data.classes:
        listed = named.get(_plain(name))
        target = name if listed is None else listed[0]
        if target and _plain(target) not in wanted:
            raise UserError(f"class {name!r} of {data.root} matches none of {', '.join(classes)}; {REMEDY}")
        match[name] = wanted.get(_plain(target), "")
    missing = sorted(set(classes) - set(match.values()) - {wanted.get(_plain(name)) for name in absent})
    if missing:
        raise UserError(
            f"class {missing[0]!r} has no match in {data.root}, which has {', '.join(data.classes)}; name it in a "
            "table with the columns from,to (from empty if there is none) and give it with --class-map"
        )
    samples = tuple(replace(sample, diagnosis=match.get(sample.diagnosis, "")) for sample in data.samples)
    return replace(data, samples=tuple(sample for sample in samples if sample.diagnosis))


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _read(table: Path) -> dict[str, tuple[str, ...]]:
    """Targets by plain name; several only of the empty name."""
    try:
        rows = read_table(table, [])
    except ValueError as error:
        raise UserError(str(error)) from None
    if rows and not {"from", "to"} <= rows[0].keys():
        raise UserError(f"{table} lacks the columns from and to; it has {', '.join(rows[0])}")
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        name = _plain(row["from"])
        if name and name in found:
            raise UserError(f"{table} names {row['from']!r} twice; keep one of the rows")
        found[name] = (*found.get(name, ()), row.get("to", ""))
    return found
