"""`list`: what is registered."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmark.cli import Json
from benchmark.registry import resolve_name

KINDS = ("architectures", "regimes", "methods", "metrics", "datasets", "merges", "presets")


def list_entries(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    name: Annotated[str | None, typer.Argument(help="One of them, to read all about it.")] = None,
    *,
    entries: Annotated[
        Path | None, typer.Option("--entries", help="Folder of more entries; their code runs in this process.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is registered, or the reference page of one entry."""
    from benchmark.cli.listing import catalog, page  # noqa: PLC0415 - loads torch, which --help needs not wait for

    kind = resolve_name(kind, KINDS, "kind")
    if entries:
        from benchmark.submission.entries import load_folder  # noqa: PLC0415

        load_folder(entries)
    found = catalog(kind) if name is None else page(kind, name)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    elif isinstance(found, dict):
        sys.stdout.write(_page(found))
    else:
        Console().print(_table(found))


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_told(value) for value in row.values()))
    return table


def _page(entry: dict[str, Any]) -> str:
    """The short things in lines, then the texts; the definition is the first sentence of the reference."""
    long = ("reference", "background")
    short = {name: value for name, value in entry.items() if name not in {"name", "definition", *long}}
    width = max(map(len, short))
    lines = [f"  {name.replace('_', ' '):{width}}  {_told(value)}" for name, value in short.items()]
    texts = [entry[name] for name in long if name in entry]
    if "background" in entry:
        texts.insert(-1, f"{entry['file']}:")
    return "\n\n".join([entry["name"], "\n".join(lines), *texts]) + "\n"


def _told(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_told, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
