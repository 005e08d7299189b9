"""Matching the classes of two data sets by name, whatever their label indices and order."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.errors import UserError
from datasets import DatasetIndex
from datasets.table import read_table

REMEDY = "name its match in a table with the columns from,to (to empty leaves it out) and give it with --class-map"


def match_classes(data: DatasetIndex, classes: Sequence[str], table: Path | None) -> DatasetIndex:
    """Returns a data set under the class names of another one.

    Names match if they are equal except for case, blanks, hyphens and underscores. The table adds further matches.

    Args:
        data: The data set to rename.
        classes: The target names.
        table: CSV file with the columns `from` and `to`. An empty `to` leaves the class out. An empty `from` declares
            that the data has no class for this target.

    Raises:
        UserError: A class of either set matches none of the other.
    """
    class_map = _read(table) if table else {}
    absent = class_map.pop("", ())
    if unknown := sorted(set(class_map) - {_normalize(name) for name in data.classes}):
        raise UserError(
            f"{table} maps the class {unknown[0]!r}, which {data.root} lacks; it has {', '.join(data.classes)}"
        )
    targets = {_normalize(name): name for name in classes}
    matches: dict[str, str] = {}
    for name in data.classes:
        mapped = class_map.get(_normalize(name))
        target = name if mapped is None else mapped[0]
        if target and _normalize(target) not in targets:
            raise UserError(f"class {name!r} of {data.root} matches none of {', '.join(classes)}; {REMEDY}")
        matches[name] = targets.get(_normalize(target), "")
    missing = sorted(set(classes) - set(matches.values()) - {targets.get(_normalize(name)) for name in absent})
    if missing:
        raise UserError(
            f"class {missing[0]!r} has no match in {data.root}, which has {', '.join(data.classes)}; name it in a "
            "table with the columns from,to (from empty if there is none) and give it with --class-map"
        )
    samples = tuple(replace(sample, diagnosis=matches.get(sample.diagnosis, "")) for sample in data.samples)
    merged = {target: [name for name in matches if matches[name] == target] for target in set(matches.values()) - {""}}
    notes = [
        f"{data.root}: the classes {', '.join(names)} are read as {target}"
        for target, names in sorted(merged.items())
        if len(names) > 1
    ]
    samples = tuple(sample for sample in samples if sample.diagnosis)
    return replace(data, samples=samples, notes=(*data.notes, *notes))


def _normalize(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _read(table: Path) -> dict[str, tuple[str, ...]]:
    """Reads the targets of each normalized name. Only the empty name has several."""
    try:
        rows = read_table(table, [])
    except ValueError as error:
        raise UserError(str(error)) from None
    if rows and not {"from", "to"} <= rows[0].keys():
        raise UserError(f"{table} lacks the columns from and to; it has {', '.join(rows[0])}")
    targets: dict[str, tuple[str, ...]] = {}
    for row in rows:
        name = _normalize(row["from"])
        if name and name in targets:
            raise UserError(f"{table} names {row['from']!r} twice; remove one of the rows")
        targets[name] = (*targets.get(name, ()), row.get("to", ""))
    return targets
