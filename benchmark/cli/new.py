"""`new`: an entry to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import console


def new(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and underscores.")],
    *,
    entries: Annotated[Path, typer.Option("--entries", help="Folder to write into.")] = Path(),
) -> None:
    """Write a commented entry that passes the checks as it stands."""
    from benchmark.submission.template import write_template  # noqa: PLC0415

    path = write_template(name, entries)
    console.print(f"{path}\nNext: change it, then python -m benchmark check {path}", highlight=False)
