"""`leaderboard`: builds tables and figures from the records."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import console
from benchmark.errors import UserError
from benchmark.phrases import format_count

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
    plan: Annotated[
        bool, typer.Option("--plan", metavar="", help="Show how many images and trainings would decide each claim.")
    ] = False,
) -> None:
    """Rebuild tables and figures from the records."""
    from benchmark.leaderboard.analysis.other_protocols import compare_protocols  # noqa: PLC0415
    from benchmark.leaderboard.build import PAGE, rebuild, write_joint_page  # noqa: PLC0415
    from benchmark.storage.results import results_dir, table_dirs  # noqa: PLC0415

    directories = [directory] if directory else table_dirs()
    if not directories:
        raise UserError(f"{results_dir()} has no results; make some with `python -m benchmark run`")
    problems: list[str] = []
    rebuilt = {}
    for path in directories:
        earlier = _load_earlier(path, diff, single=len(directories) == 1) if diff else None
        with console.status(f"writing {path}"):
            leaderboards = rebuilt[path] = rebuild(path)
        num_apart = len(leaderboards[0].other_protocol_models)
        why = compare_protocols(leaderboards[0])
        below = f", and {num_apart} of another protocol below ({why}); run them again to rank them all" if why else ""
        num_models = len(leaderboards[0].models)
        console.print(f"{path / 'leaderboard.md'}: {format_count(num_models, 'model')}{below}")
        if diff and earlier is not None:
            _show_diff(leaderboards[0], earlier, diff)
        if plan:
            _show_plan(path, leaderboards)
        if published:
            _compare_with_published(path, leaderboards[0], published, single=len(directories) == 1)
        problems += leaderboards[0].problems
    if len(rebuilt) > 1:
        write_joint_page(rebuilt, results_dir() / PAGE)
        console.print(f"{results_dir() / PAGE}: one page with all of them")
    for problem in problems:
        console.print(f"left out: {problem}")
    if problems:
        raise typer.Exit(1)


def _load_earlier(directory: Path, diff: str, *, single: bool) -> "Table | None":
    """Loads the earlier table before the new one replaces it.

    A single directory must have one. Of several directories, those without one are reported and skipped.
    """
    from benchmark.leaderboard.analysis.diff import load_earlier_table  # noqa: PLC0415

    try:
        return load_earlier_table(diff, directory)
    except UserError as error:
        if single:
            raise
        console.print(f"{directory}: {error}")
        return None


def _show_diff(leaderboard: "LeaderboardTable", earlier: "Table", diff: str) -> None:
    from benchmark.leaderboard.analysis.diff import diff_tables, format_diff, parse_table  # noqa: PLC0415
    from benchmark.leaderboard.export.csv import to_csv  # noqa: PLC0415

    for line in format_diff(diff_tables(earlier, parse_table(to_csv(leaderboard), diff), leaderboard.columns), diff):
        console.print(line)


def _show_plan(directory: Path, leaderboards: "list[LeaderboardTable]") -> None:
    from benchmark.leaderboard.analysis.claim_plan import plan_claims  # noqa: PLC0415
    from benchmark.leaderboard.analysis.claims import evaluate_claims  # noqa: PLC0415
    from benchmark.leaderboard.export.claims import (  # noqa: PLC0415
        PLAN_NOTE,
        explain_no_claims,
        plan_lines,
        summarize_claims,
    )
    from benchmark.leaderboard.load.results import read_results  # noqa: PLC0415

    results = evaluate_claims(read_results(directory), leaderboards)
    if not results:
        console.print(explain_no_claims(leaderboards[0]))
        return
    console.print(summarize_claims(results))
    plans = plan_claims(results)
    if not plans:
        console.print("Every claim has a decision: there is nothing to plan.")
        return
    titles = {column.name: column.title for column in leaderboards[0].columns}
    for claim_plan in plans:
        for line in plan_lines(claim_plan, titles):
            console.print(line)
    console.print(PLAN_NOTE.replace("*", ""), style="dim")


def _compare_with_published(directory: Path, leaderboard: "LeaderboardTable", name: str, *, single: bool) -> None:
    from benchmark.leaderboard.analysis.published import (  # noqa: PLC0415
        compute_published_agreements,
        load_published_table,
        published_agreement_csv,
        published_agreement_markdown,
    )
    from benchmark.storage.files import write_text  # noqa: PLC0415

    published = load_published_table(name)
    try:
        compared = compute_published_agreements(leaderboard, published)
    except UserError as error:
        if single:
            raise
        console.print(f"{directory}: {error}")
        return
    write_text(directory / f"published-{name}.csv", published_agreement_csv(leaderboard, compared))
    write_text(directory / f"published-{name}.md", published_agreement_markdown(leaderboard, published, compared))
    console.print(
        f"{directory / f'published-{name}.md'}: {format_count(len(compared), 'score')} compared with published ones"
    )
