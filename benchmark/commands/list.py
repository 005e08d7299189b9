"""`list`: what is registered."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmark.commands import Json
from benchmark.registry import known_name

KINDS = ("architectures", "regimes", "methods", "metrics", "datasets", "merges", "presets")


def list_entries(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    *,
    entries: Annotated[
        Path | None, typer.Option("--entries", help="Folder of more entries; their code runs in this process.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is registered."""
    from benchmark.catalogue import catalogue  # noqa: PLC0415

    if entries:
        from benchmark.submission.entries import load_folder  # noqa: PLC0415

        load_folder(entries)
    rows = catalogue(known_name(kind, KINDS, "kind"))
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    Console().print(table)
