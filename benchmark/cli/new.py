"""`new`: writes an entry to start from."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import console


def new(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and underscores.")],
    *,
    entries: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Directory to write into.")] = Path(),
) -> None:
    """Write a commented entry that passes the checks unchanged."""
    from benchmark.submission.template import write_template  # noqa: PLC0415

    path = write_template(name, entries)
    console.print(str(path))
    console.print(f"Next: edit it, then run python -m benchmark check {path}")
