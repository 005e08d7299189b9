"""`leaderboard`: tables and figures from the records."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import console
from benchmark.errors import UserError

if TYPE_CHECKING:
    from benchmark.leaderboard.analysis.diff import Table
    from benchmark.leaderboard.table import LeaderboardTable


def leaderboard(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIRECTORY]", help="A results directory. Default: all under results/."),
    ] = None,
    *,
    published: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Compare with a published table, such as dermxdb-2023."),
    ] = None,
    diff: Annotated[
        str | None, typer.Option(metavar="REV|FILE", help="Show changes since a git revision or a leaderboard.csv.")
    ] = None,
) -> None:
    """Rebuild tables and figures from the records."""
    from benchmark.leaderboard.build import PAGE, rebuild, write_joint_page  # noqa: PLC0415
    from benchmark.storage.results import results_dir, table_dirs  # noqa: PLC0415

    directories = [directory] if directory else table_dirs()
    if not directories:
        raise UserError(f"{results_dir()} holds no results; make some with `python -m benchmark run`")
    problems: list[str] = []
    rebuilt = {}
    for each in directories:
        before = _before(each, diff, alone=len(directories) == 1) if diff else None
        with console.status(f"writing {each}"):
            leaderboards = rebuilt[each] = rebuild(each)
        apart = len(leaderboards[0].other_protocol_models)
        below = f", and {apart} of another protocol below; run them again to rank them all" if apart else ""
        console.print(f"{each / 'leaderboard.md'}: {len(leaderboards[0].models)} models{below}", highlight=False)
        if diff and before is not None:
            _say_what_moved(leaderboards[0], before, diff)
        if published:
            _compare_with_published(each, leaderboards[0], published, alone=len(directories) == 1)
        problems += leaderboards[0].problems
    if len(rebuilt) > 1:
        write_joint_page(rebuilt, results_dir() / PAGE)
        console.print(f"{results_dir() / PAGE}: all of them on one page")
    for problem in problems:
        console.print(f"left out: {problem}", highlight=False)
    if problems:
        raise typer.Exit(1)


def _before(directory: Path, diff: str, *, alone: bool) -> "Table | None":
    """The earlier table, read before the new one is written; of several directories, not all need have been there."""
    from benchmark.leaderboard.analysis.diff import load_earlier_table  # noqa: PLC0415

    try:
        return load_earlier_table(diff, directory)
    except UserError as error:
        if alone:
            raise
        console.print(f"{directory}: {error}", highlight=False)
        return None


def _say_what_moved(leaderboard: "LeaderboardTable", before: "Table", diff: str) -> None:
    from benchmark.leaderboard.analysis.diff import diff_tables, format_diff, parse_table  # noqa: PLC0415
    from benchmark.leaderboard.export.csv import to_csv  # noqa: PLC0415

    for line in format_diff(diff_tables(before, parse_table(to_csv(leaderboard), diff), leaderboard.columns), diff):
        console.print(line, highlight=False, markup=False)


def _compare_with_published(directory: Path, leaderboard: "LeaderboardTable", name: str, *, alone: bool) -> None:
    from benchmark.leaderboard.analysis.published import (  # noqa: PLC0415
        compute_published_agreements,
        load_published_table,
        published_agreement_csv,
        published_agreement_markdown,
    )
    from benchmark.storage.files import write_text  # noqa: PLC0415

    published = load_published_table(name)
    try:
        found = compute_published_agreements(leaderboard, published)
    except UserError as error:
        if alone:
            raise
        console.print(f"{directory}: {error}", highlight=False)
        return
    write_text(directory / f"published-{name}.csv", published_agreement_csv(leaderboard, found))
    write_text(directory / f"published-{name}.md", published_agreement_markdown(leaderboard, published, found))
    console.print(f"{directory / f'published-{name}.md'}: {len(found)} scores beside published ones")
