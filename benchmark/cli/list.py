"""`list`: lists registered entries."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from benchmark.cli import Json, console
from benchmark.registry import resolve_name

KINDS = ("architectures", "regimes", "methods", "metrics", "datasets", "aggregations", "presets")
MIN_TEXT = 16
"""Least number of characters in a line of a text."""


def list_entries(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    name: Annotated[str | None, typer.Argument(help="One entry, to read its reference page.")] = None,
    *,
    entries: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Directory of more entries. Their code runs in this process."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is registered, or the reference page of one entry."""
    from benchmark.cli.listing import catalog, page  # noqa: PLC0415 - loads torch, which --help does not need

    kind = resolve_name(kind, KINDS, "kind")
    if entries:
        from benchmark.submission.entries import load_entries  # noqa: PLC0415

        load_entries(entries)
    content = catalog(kind) if name is None else page(kind, name)
    if as_json:
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    elif isinstance(content, dict):
        sys.stdout.write(_format_page(content))
    else:
        console.print(_build_table(content, console.width))


def _build_table(rows: list[dict[str, Any]], width: int) -> Table:
    """Builds a table whose names and numbers never wrap. Texts wrap, and the last ones are left out if space is short.

    Args:
        rows: The rows, with the same columns.
        width: Number of characters in a line.
    """
    texts = [name for name in rows[0] if any(isinstance(row[name], str) and " " in row[name] for row in rows)]
    whole = [name for name in rows[0] if name not in texts]
    space = width - sum(1 + max(len(name), *(len(_format(row[name])) for row in rows)) for name in whole)
    shown = texts[: max(0, space // MIN_TEXT)]
    table = Table(box=None, pad_edge=False)
    names = [name for name in rows[0] if name in {*whole, *shown}]
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in whole)
    for row in rows:
        table.add_row(*(_format(row[name]) for name in names))
    if shown != texts:
        left_out = " and ".join(name for name in texts if name not in shown)
        table.caption = f"Left out: {left_out}. A wider terminal, NAME or --json shows it."
    return table


def _format_page(entry: dict[str, Any]) -> str:
    """Formats short fields as lines, then long texts.

    The definition is left out: it is the first sentence of the reference.
    """
    long = ("reference", "background")
    short = {name: value for name, value in entry.items() if name not in {"name", "definition", *long}}
    width = max(map(len, short))
    lines = [f"  {name.replace('_', ' '):{width}}  {_format(value)}" for name, value in short.items()]
    texts = [entry[name] for name in long if name in entry]
    if "background" in entry:
        texts.insert(-1, f"{entry['file']}:")
    return "\n\n".join([entry["name"], "\n".join(lines), *texts]) + "\n"


def _format(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_format, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
