"""The verbs of the command line, one per file. torch and its kin are loaded by the verbs that need them only."""

from typing import Annotated

import typer
from rich.console import Console

console = Console(soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
