"""`leaderboard`: tables and figures from the records."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import console
from benchmark.errors import UserError


def leaderboard(
    folder: Annotated[Path | None, typer.Argument(help="A results folder; without it all under results/.")] = None,
) -> None:
    """Rebuild tables and figures from the records."""
    from benchmark.leaderboard.board import MARKER  # noqa: PLC0415
    from benchmark.leaderboard.publish import PAGE, rebuild, together  # noqa: PLC0415
    from benchmark.store import results_folder  # noqa: PLC0415

    folders = [folder] if folder else sorted(path.parent for path in results_folder().glob(f"*/*/{MARKER}"))
    if not folders:
        raise UserError(f"{results_folder()} holds no results; make some with `python -m benchmark run`")
    problems: list[str] = []
    rebuilt = {}
    for each in folders:
        with console.status(f"writing {each}"):
            boards = rebuilt[each] = rebuild(each)
        console.print(f"{each / 'leaderboard.md'}: {len(boards[0].models)} models")
        problems += boards[0].problems
    if len(rebuilt) > 1:
        together(rebuilt, results_folder() / PAGE)
        console.print(f"{results_folder() / PAGE}: all of them on one page")
    for problem in problems:
        console.print(f"left out: {problem}", highlight=False)
    if problems:
        raise typer.Exit(1)
