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
        console.print(_build_table(content))


def _build_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_format(value) for value in row.values()))
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
