"""`repeat`: trains and scores a published row again, and judges the result."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import DATA, OUTPUT, DataDirectory, console
from benchmark.cli.export_maps import find_record
from benchmark.errors import UserError

if TYPE_CHECKING:
    from benchmark.leaderboard.analysis.repeat import Repeat
    from benchmark.leaderboard.load.results import ResultsDirectory
    from benchmark.leaderboard.table import LeaderboardTable
    from benchmark.storage.record import Record


def repeat(
    row: Annotated[str, typer.Argument(metavar="ROW", help="A model of a table, such as xception/standard.")],
    *,
    seed: Annotated[int | None, typer.Option(help="Training seed. Default: the first one.", min=0)] = None,
    data: DataDirectory = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY", help="A results directory. Default: the only one with the row.", rich_help_panel=DATA
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            help="Where to write results and cache of the repeat. Default: a temporary directory.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Show the command and what it took, and train nothing.")
    ] = False,
) -> None:
    """Train and score a published row again, and say whether it came out the same. Exit code 1 if not.

    Published results stay as they are.
    """
    from benchmark.leaderboard.analysis.provenance import repeat_command  # noqa: PLC0415

    published, path = find_record(row, results, seed)
    record = published.records[path]
    words = shlex.split(repeat_command([record]))
    if data is not None:
        words += ["--data", str(data)]
    console.print(shlex.join(words), highlight=False, markup=False, soft_wrap=True)
    console.print(_describe_cost(record), highlight=False, markup=False)
    if dry_run:
        return
    _require_harmless(record, path)
    with TemporaryDirectory(prefix="loupe-repeat-") as scratch:
        directory = _train(words[3:], output or Path(scratch))
        judged, table = _judge(published, path, row, directory)
        _show(judged, table)
    if judged.verdict == "not within what repeats spread":
        raise typer.Exit(1)


def _require_harmless(record: "Record", path: Path) -> None:
    """Requires that the options in a record, which may be of somebody else, run no code of a directory.

    Raises:
        UserError: They name entries, or are not those of a data set.
    """
    from benchmark.config.options import ENTRIES_OPTION, are_source_options  # noqa: PLC0415

    options = record.provenance.options if record.provenance else ()
    if ENTRIES_OPTION in options or not are_source_options(options):
        raise UserError(
            f"{path.name}: provenance.options may run code of somebody else, such as that of {ENTRIES_OPTION}; read "
            "the command above, and run it yourself"
        )


def _describe_cost(record: "Record") -> str:
    """Says how long the published training and its scores took, and where."""
    seconds, made = sum(record.seconds.values()), record.environment
    machine = made.get("accelerator") or made.get("processor") or "an unknown processor"
    return f"The published one took {seconds:.0f} s on {machine}, with {made.get('threads', '?')} threads."


def _train(words: list[str], directory: Path) -> Path:
    """Runs a command with results and cache in a directory of their own. Returns the directory of its tables.

    Raises:
        UserError: The command failed, or the directory has results.
    """
    from benchmark.storage.results import PROTOCOL_FILE  # noqa: PLC0415

    results = directory.absolute() / "results"
    if results.exists():
        raise UserError(f"--output {directory} has results of an earlier repeat; name another directory")
    folders = {"LOUPE_RESULTS": str(results), "LOUPE_RUNS": str(directory.absolute() / "runs")}
    command = [sys.executable, "-m", "benchmark", *words]
    done = subprocess.run(command, env=os.environ | folders, check=False)  # noqa: S603 - our own program, no shell
    tables = [path.parent for path in results.glob(f"*/*/{PROTOCOL_FILE}")]
    if done.returncode or len(tables) != 1:
        raise UserError(f"the repeat ended with exit code {done.returncode} and without a table; see its error above")
    return tables[0]


def _judge(published: "ResultsDirectory", path: Path, row: str, directory: Path) -> "tuple[Repeat, LeaderboardTable]":
    """Compares a record with the only one of a directory.

    Raises:
        UserError: The repeat was made by other code, or from other data or settings.
    """
    from benchmark.leaderboard.analysis.repeat import are_equal, judge_repeat  # noqa: PLC0415
    from benchmark.leaderboard.load.results import read_results  # noqa: PLC0415
    from benchmark.leaderboard.tables import build_tables  # noqa: PLC0415

    again, record = read_results(directory), published.records[path]
    repeated = next(iter(again.records.values()))
    if repeated.protocol != record.protocol:
        raise UserError(
            f"this is no repeat: the protocol is {repeated.protocol}, not {record.protocol}, so the code of the "
            "scores, the settings or the images differ; check out the commit "
            f"{record.environment.get('commit', '')[:8] or 'of the record'}, and name the same --data"
        )
    alone = replace(published, records={path: record}, others={}, problems=(), names={})
    (table, *_), (one, *_), (other, *_) = (build_tables(part) for part in (published, alone, again))
    equal = are_equal(record, repeated)
    return judge_repeat(table, row, one.models[0], other.models[0], equal=equal), table


def _show(judged: "Repeat", table: "LeaderboardTable") -> None:
    """Prints each score of both, and the verdict."""
    for score in judged.scores:
        source = "measured elsewhere" if score.measured else "of the table"
        note = "" if score.is_within else ": more than that"
        console.print(
            f"{score.column.title}: published {score.published:.4f}, repeated {score.repeated:.4f}, difference "
            f"{score.repeated - score.published:+.4f}; repeats differ by up to {score.limit:.4f} (SD of a training "
            f"{score.spread:.4f}, {source}){note}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if not judged.scores and not judged.equal:
        raise UserError(f"{table.method}: the two have no score in common whose spread is known")
    console.print(f"The repeat is {judged.verdict}.")
