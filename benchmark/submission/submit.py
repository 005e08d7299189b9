"""From an entry file to its rows in the tables, or to one line that says why not."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.experiments.build_record import format_regime_title
from benchmark.leaderboard.build import DATA_FIGURE, SHEETS, rebuild
from benchmark.registry import entries
from benchmark.storage.files import atomic_file, write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Submission, load_record
from benchmark.storage.results import (
    BASELINES_FILE,
    PROTOCOL_FILE,
    SPLIT_FILE,
    all_record_files,
    results_dir,
    table_dirs,
)
from benchmark.storage.runs import runs_dir
from benchmark.submission.checks.report import CheckReport, check_entry, check_record
from benchmark.submission.entries import HOME
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import GIGABYTE, Limits
from benchmark.training.regimes import Regime

SHARED = (SPLIT_FILE, BASELINES_FILE, PROTOCOL_FILE, DATA_FIGURE, *SHEETS)
"""What a run writes beside the tables, which are made anew from the records."""
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionRequest:
    """What to evaluate an entry on, and how.

    Attributes:
        preset: Name of a preset.
        changes: Its settings that are changed.
        data: Directory of the data set; None takes the embedded one.
        layout: Its layout; None has it chosen by its look.
        split: A split of another run, to be used again.
        regimes: Names; none takes those of the preset. A checkpoint's own is the one that is claimed for it.
        seeds: Seeds; none takes those of the preset.
        device: cpu or cuda; None takes the GPU if there is one.
        network: Whether the entry may use the network, as published weights need.
        hours: How long it may take.
    """

    preset: str = "quick"
    changes: dict[str, Any] = field(default_factory=dict)
    data: Path | None = None
    layout: str | None = None
    split: Path | None = None
    regimes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    device: str | None = None
    network: bool = False
    hours: float = 24.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionResult:
    """What a submission left behind.

    Attributes:
        directory: The results directory whose tables have its rows.
        records: Its records.
        checked: What was found in the entry.
        apart: Number of models of other protocols, which stand below its rows and are not ranked with them.
    """

    directory: Path
    records: tuple[Path, ...]
    checked: CheckReport
    apart: int = 0


class SubmissionRejected(Exception):  # noqa: N818 - it is no fault of the program's
    """A submission with problems; nothing was changed.

    Attributes:
        checked: What was found.
    """

    def __init__(self, checked: CheckReport) -> None:
        super().__init__(checked.problems[0])
        self.checked = checked


def submit(
    entry: Path, order: SubmissionRequest, worker: Worker, tell: Callable[[str], None], *, limits: Limits
) -> SubmissionResult:
    """Checks an entry, evaluates it in a child process and writes its records and the tables.

    Args:
        entry: The entry file.
        order: On what and how.
        worker: Runs its code.
        tell: Told of each step, in one line.
        limits: What the check may take; an evaluation has the same memory.

    Raises:
        SubmissionRejected: The entry or the records have problems; nothing was changed.
        UserError: What was asked for cannot be had.
    """
    tell(f"checking {entry.name}")
    checked = check_entry(entry, worker, limits, with_checkpoint=True)
    if checked.problems:
        raise SubmissionRejected(checked)
    facts = checked.facts["metadata"]
    if facts["withdrawn"] or facts["superseded_by"]:
        return _marked(entry, checked)
    with tempfile.TemporaryDirectory(prefix="loupe-results-") as place:
        directory = Path(place)
        _copy_of_results(directory, order.preset)
        runs_dir().mkdir(parents=True, exist_ok=True)
        tell("evaluating it")
        outcome = worker.ask(
            "evaluate",
            {"entry": str(entry), "asked": _asked(order), "results": str(directory)},
            Limits(
                seconds=order.hours * HOUR,
                memory=0 if order.device not in {None, "cpu"} else limits.memory,
                output=16 * 1024**2,
                written=64 * GIGABYTE,
                network=order.network,
            ),
            writable=[directory, runs_dir()],
            echo=True,
        )
        if outcome.refused:
            raise UserError(f"{entry.name}: {outcome.refused}")
        tell("checking its records")
        return _published(directory, checked, tell)


def pull_request_files(submitted: SubmissionResult, entry: Path) -> list[str]:
    """Lines that say what belongs into the pull request."""
    facts = submitted.checked.facts["metadata"]
    lines = [] if entry.parent == HOME else [f"a copy of {entry} in {HOME.name}/"]
    lines += [f"{HOME.name}/{entry.name}"] if entry.parent == HOME else []
    lines += [f"{path.parent}/{path.stem}.*" for path in submitted.records]
    lines += [
        f"what else git shows as changed in {submitted.directory}: tables, {BASELINES_FILE}, {PROTOCOL_FILE}, pictures"
    ]
    if facts["checkpoint"]:
        lines.append(f"not the weights: {facts['checkpoint']['file']} stays at {facts['checkpoint']['source']}")
    return lines


def describe_other_protocols(submitted: SubmissionResult, preset: str) -> str:
    """Why rows that were there are not ranked with the new ones, and what to do; empty where all are."""
    if not submitted.apart:
        return ""
    return (
        f"{submitted.apart} models of this table were made under another protocol (by other code, or with other "
        f"settings): they stand below the new rows, ranked apart, until `run --preset {preset}` makes them anew"
    )


def _asked(order: SubmissionRequest) -> dict[str, Any]:
    return {
        "preset": order.preset,
        "changes": order.changes,
        "data": str(order.data.resolve()) if order.data else None,
        "layout": order.layout,
        "split": str(order.split.resolve()) if order.split else None,
        "regimes": list(order.regimes),
        "seeds": list(order.seeds),
        "device": order.device,
    }


def _copy_of_results(directory: Path, preset: str) -> None:
    """A copy for the child to write into: its rows are ranked among those that are there."""
    for table in table_dirs(preset=preset):
        shutil.copytree(table, directory / table.parent.name / preset)


def _published(made: Path, checked: CheckReport, tell: Callable[[str], None]) -> SubmissionResult:
    """Takes over the records of the entry, once they are checked, and makes the tables anew from the records."""
    name = checked.facts["metadata"]["name"]
    before = {path.relative_to(results_dir()) for path in all_record_files(name)}
    records = [path for path in made.glob(f"*/*/records/{name}-*.json") if not path.is_symlink()]
    fresh = [path for path in records if _is_new(path, made, before)]
    if not fresh:
        raise UserError(f"{name}: these cells are done and stand in the tables; nothing to do")
    for path in fresh:
        if problems := check_record(path).problems:
            raise SubmissionRejected(CheckReport(kind="record", path=path, problems=problems))
    source = fresh[0].parent.parent
    directory = results_dir() / source.relative_to(made)
    beside = [path for record in fresh for path in record.parent.glob(f"{record.stem}.*")]
    # The record last, since it says that the rest is there.
    for path in sorted([*beside, *(source / each for each in SHARED)], key=lambda path: path.suffix == ".json"):
        if path.is_file() and not path.is_symlink():
            with atomic_file(directory / path.relative_to(source)) as temporary:
                shutil.copyfile(path, temporary)
    for sheet in SHEETS:  # of another protocol: the child removed its copy
        if not (source / sheet).is_file():
            (directory / sheet).unlink(missing_ok=True)
    tell("writing the tables")
    board = rebuild(directory)[0]
    for problem in board.problems:
        tell(f"left out of the tables: {problem}")
    told = tuple(directory / path.relative_to(source) for path in sorted(fresh))
    return SubmissionResult(directory=directory, records=told, checked=checked, apart=len(board.other_protocol_models))


def _is_new(path: Path, made: Path, before: set[Path]) -> bool:
    place = path.relative_to(made)
    return place not in before or (results_dir() / place).read_bytes() != path.read_bytes()


def _marked(entry: Path, checked: CheckReport) -> SubmissionResult:
    """Marks the rows of an entry that was withdrawn or superseded; they stay where they are."""
    facts = checked.facts["metadata"]
    paths = all_record_files(facts["name"])
    if not paths:
        raise UserError(f"{facts['name']} has no rows that could be marked; leave it out, or submit it unmarked first")
    for path in paths:
        record = load_record(path)
        told = Submission(
            entry=entry.name,
            sha256=file_digest(entry),
            checkpoint=facts["checkpoint"] or {},
            **{name: facts[name] for name in ("authors", "license", "source", "superseded_by", "withdrawn")},
        )
        regime = entries(Regime)[record.regime]
        title = format_regime_title(regime.title or regime.name, told)
        marked = record.model_copy(update={"submission": told, "regime_title": title})
        write_text(path, marked.model_dump_json(indent=1) + "\n")
    directories = sorted({path.parent.parent for path in paths})
    for directory in directories:
        rebuild(directory)
    return SubmissionResult(directory=directories[0], records=tuple(paths), checked=checked)
