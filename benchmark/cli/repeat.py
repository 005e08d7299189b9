"""`repeat`: trains and scores a published row again, and judges the result."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import DATA, OUTPUT, DataDirectory, console
from benchmark.cli.export_maps import find_record
from benchmark.errors import UserError

if TYPE_CHECKING:
    from benchmark.leaderboard.analysis.repeat import Repeat
    from benchmark.leaderboard.load.results import ResultsDirectory
    from benchmark.leaderboard.table import LeaderboardTable
    from benchmark.storage.record import Record

TITLES = {"processor": "processor", "accelerator": "accelerator", "threads": "threads", "python": "Python"}
"""What two trainings may differ by, with its name for readers."""


def repeat(  # noqa: PLR0913 - the options of a command line
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
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The initial weights, or their directory. Default: the path that the row names.",
            rich_help_panel=DATA,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            help="Where to write results and cache of the repeat. An existing one is judged without a training. "
            "Default: a temporary directory.",
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
    _set_path(words, "--data", data)
    _set_path(words, "--weights", weights)
    console.print(shlex.join(words), highlight=False, markup=False, soft_wrap=True)
    console.print(_describe_cost(record), highlight=False, markup=False)
    if dry_run:
        return
    with TemporaryDirectory(prefix="loupe-repeat-") as scratch:
        directory = output or Path(scratch)
        made = _find_table(directory)
        if made is None:
            _require_harmless(record, path)
            _require_data(record, data)
            _require_protocol(words[3:], record, row, directory)
            made = _train(words[3:], directory)
        judged, table = _judge(published, path, row, made)
        _show(judged, table)
    if judged.verdict == "not within what repeats spread":
        raise typer.Exit(1)


def _set_path(words: list[str], option: str, path: Path | None) -> None:
    """Gives an option of a command another path, if there is one."""
    if path is None:
        return
    if option in words:
        words[words.index(option) + 1] = str(path)
    else:
        words += [option, str(path)]


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


def _require_data(record: "Record", data: Path | None) -> None:
    """Requires that the images are known: without a directory, a run takes the embedded ones.

    Raises:
        UserError: The record does not name them.
    """
    if record.provenance is None and data is None and not record.synthetic:
        raise UserError(f"the record names no directory of its images; name that of {record.dataset} with --data")


def _require_protocol(words: list[str], record: "Record", row: str, directory: Path) -> None:
    """Requires that a command has the protocol of a record, before it trains anything.

    Raises:
        UserError: The command cannot start, or is of another protocol.
    """
    if words[0] != "run":  # `submit` has no dry run
        return
    done = _run_command([*words, "--dry-run"], directory, stdout=subprocess.PIPE, text=True)
    planned = re.search(r"^protocol ([0-9a-f]+)$", str(done.stdout), re.MULTILINE)
    if planned is None:
        raise UserError(f"the repeat cannot start (exit code {done.returncode}); see its error above")
    if planned[1] != record.protocol:
        raise UserError(_describe_other_protocol(planned[1], record, row))


def _describe_other_protocol(protocol: str, record: "Record", row: str) -> str:
    """Says why two protocols differ, and how to repeat a record of other code."""
    commit = str(record.environment.get("commit") or "")[:8]
    source = f"`git worktree add ../repeat {commit}`" if commit else "a checkout of the code that made it"
    return (
        f"this is no repeat: the protocol is {protocol}, not {record.protocol}, so the code, the settings or the "
        f"images differ. With the same images, repeat it by its own code: {source}, there the command above without "
        "options that are newer, with LOUPE_RESULTS=DIRECTORY/results and LOUPE_RUNS=DIRECTORY/runs. Then judge it "
        f"here: `repeat {row} --output DIRECTORY`"
    )


def _describe_cost(record: "Record") -> str:
    """Says how long the published training and its scores took, and where."""
    made, trained = record.environment, record.training.seconds
    # Older records have the time that it took to load a model which an earlier command had trained.
    seconds = sum((record.seconds if trained is None else record.seconds | {"train": trained}).values())
    machine = made.get("accelerator") or made.get("processor") or "an unknown processor"
    least = "at least " if trained is None else ""
    return f"The published one took {least}{seconds:.0f} s on {machine}, with {made.get('threads', '?')} threads."


def _find_table(directory: Path) -> Path | None:
    """Returns the directory of the only table of a repeat. None if there is no table.

    Raises:
        UserError: There are several tables.
    """
    from benchmark.storage.results import PROTOCOL_FILE  # noqa: PLC0415

    tables = sorted(path.parent for path in (directory / "results").glob(f"*/*/{PROTOCOL_FILE}"))
    if len(tables) > 1:
        raise UserError(f"{directory} has several tables; name a directory with one repeat, or a new one")
    return tables[0] if tables else None


def _train(words: list[str], directory: Path) -> Path:
    """Runs a command with results and cache in a directory of their own. Returns the directory of its tables.

    Raises:
        UserError: The command failed.
    """
    done = _run_command(words, directory)
    table = _find_table(directory)
    if done.returncode or table is None:
        raise UserError(f"the repeat ended with exit code {done.returncode} and without a table; see its error above")
    return table


def _run_command(words: list[str], directory: Path, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Runs a command of ours with results and cache in a directory."""
    folders = {"LOUPE_RESULTS": str(directory.absolute() / "results"), "LOUPE_RUNS": str(directory.absolute() / "runs")}
    command = [sys.executable, "-m", "benchmark", *words]
    return subprocess.run(command, env=os.environ | folders, check=False, **options)  # noqa: S603 - our own program


def _judge(published: "ResultsDirectory", path: Path, row: str, directory: Path) -> "tuple[Repeat, LeaderboardTable]":
    """Compares a record with the only one of a directory.

    Raises:
        UserError: The repeat was made by other code, or from other data or settings.
    """
    from benchmark.leaderboard.analysis.repeat import are_equal, judge_repeat  # noqa: PLC0415
    from benchmark.leaderboard.load.results import read_results  # noqa: PLC0415
    from benchmark.leaderboard.load.rows import model_name  # noqa: PLC0415
    from benchmark.leaderboard.tables import build_tables  # noqa: PLC0415

    again, record = read_results(directory), published.records[path]
    repeated_path, repeated = next(iter(again.records.items()))
    if repeated.protocol != record.protocol:
        raise UserError(_describe_other_protocol(repeated.protocol, record, row))
    if _identity(repeated) != _identity(record):
        raise UserError(f"{directory} is of another row: {next(iter(again.records)).stem}; name its own directory")
    console.print(_describe_machines(record, repeated))
    alone = replace(published, records={path: record}, others={}, problems=(), names={})
    (table, *_), (one, *_), (other, *_) = (build_tables(part) for part in (published, alone, again))
    equal = are_equal(path, repeated_path)
    label = next(model_name(model) for model, paths in published.models.items() if path in paths)  # row may be longer
    return judge_repeat(table, label, one.models[0], other.models[0], equal=equal), table


def _identity(record: "Record") -> tuple[str, str, int]:
    return record.architecture, record.training_name, record.seed


def _describe_machines(published: "Record", repeated: "Record") -> str:
    """Says in which parts of hardware and versions two trainings differ."""
    one, other = ({**each.environment, **each.environment.get("packages", {})} for each in (published, repeated))
    titles = TITLES | {name: name for name in published.environment.get("packages", {})}
    parts = [
        f"{title} {one.get(name)} and {other.get(name)}"
        for name, title in titles.items()
        if one.get(name) != other.get(name)
    ]
    if not parts:
        return "Both were made with the same processor, number of threads and versions of the packages."
    return f"They were made with different {', '.join(parts)}."


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
