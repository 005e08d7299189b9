"""Submits an entry: checks it, evaluates it, and adds its records to the tables."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from architectures import Checkpoint
from benchmark.data.load import Source, load_index, require_usable
from benchmark.errors import UserError
from benchmark.experiments.build_record import format_regime_title
from benchmark.experiments.publish import (
    baselines_of,
    find_own_records,
    load_existing,
    write_baselines,
    write_split,
)
from benchmark.leaderboard.admission.files import SIDECARS
from benchmark.leaderboard.analysis.other_protocols import compare_protocols
from benchmark.leaderboard.build import DATA_FIGURE, RELIANCE_SHEETS, SHEETS, rebuild
from benchmark.registry import entries
from benchmark.storage.files import TMP_PREFIX, atomic_file, write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.house import House, read_house
from benchmark.storage.lock import LOCK_FILE, writing
from benchmark.storage.protocol import read_protocol
from benchmark.storage.record import Submission, load_record, write_record
from benchmark.storage.results import (
    BASELINES_FILE,
    HOUSE_FILE,
    LEDGER_FILE,
    PROTOCOL_FILE,
    SPLIT_FILE,
    all_record_files,
    record_files,
    results_dir,
    sidecar_file,
    table_dirs,
)
from benchmark.submission.checks.report import CheckReport, check_entry, check_record
from benchmark.submission.checks.score import is_only_unverified
from benchmark.submission.entries import ENTRIES_DIR
from benchmark.submission.evaluate import evaluate
from benchmark.submission.judge.host import BoxHost
from benchmark.submission.request import SubmissionRequest
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import GIGABYTE, Limits
from benchmark.training.checkpoint import class_order
from benchmark.training.regimes import Regime

TABLE_FILES = (PROTOCOL_FILE, DATA_FIGURE, *SHEETS)
"""Files of a results directory that a run writes, but for split and baselines. The tables are not among them: they
follow from the records."""
SECONDS_PER_HOUR = 3600.0
MIN_SIZE = 96
"""Minimum side of images in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionResult:
    """Result of a submission.

    Attributes:
        directory: The results directory whose tables have its rows.
        records: Its records.
        report: Report of the checks of the entry.
        num_apart: Number of models of other protocols. They are listed below its rows and not ranked with them.
        difference: What distinguishes the first of these protocols. Empty without any.
    """

    directory: Path
    records: tuple[Path, ...]
    report: CheckReport
    num_apart: int = 0
    difference: str = ""


class SubmissionRejected(Exception):  # noqa: N818 - it is no error of the program
    """A submission has problems. Nothing was changed.

    Attributes:
        report: The problems.
    """

    def __init__(self, report: CheckReport) -> None:
        super().__init__(report.problems[0])
        self.report = report


def submit(
    entry: Path, request: SubmissionRequest, worker: Worker, notify: Callable[[str], None], *, limits: Limits
) -> SubmissionResult:
    """Checks an entry, evaluates it and writes its records and the tables. Its Python code runs in boxes alone.

    Args:
        entry: The entry file.
        request: What to evaluate it on, and how.
        worker: Runs its code.
        notify: Receives one line before each step.
        limits: Limits of the checks. The evaluation has the same memory limit.

    Raises:
        SubmissionRejected: The entry or the records have problems. Nothing was changed.
        UserError: The evaluation failed, or an option is invalid.
    """
    notify(f"checking {entry.name}")
    report = check_entry(entry, worker, limits, with_checkpoint=True)
    if report.problems:
        raise SubmissionRejected(report)
    facts = report.facts["metadata"]
    if facts["withdrawn"] or facts["superseded_by"]:
        return _mark_rows(entry, report)
    for line in report.warnings:  # before the evaluation, which a changed entry needs again
        notify(f"warning: {line}")
    _require_classes(report, request)
    request = _at_input_size(request, facts, notify)
    with tempfile.TemporaryDirectory(prefix="loupe-results-") as scratch:
        directory = Path(scratch)
        _copy_results(directory, request.preset, notify)
        notify("evaluating it")
        host = _build_host(entry, report, request, worker, limits)
        evaluate(entry, report.facts, request, directory, host)
        notify("checking its records")
        return _publish(directory, report, notify)


def _require_classes(report: CheckReport, request: SubmissionRequest) -> None:
    """Requires that a checkpoint has the classes of the data, before anything is decoded or scored.

    Raises:
        SubmissionRejected: It has other ones.
        UserError: The data cannot be used.
    """
    checkpoint = report.facts["metadata"]["checkpoint"]
    if not checkpoint:
        return
    source = Source(directory=request.data, layout=request.layout, images=request.images)
    data = require_usable(load_index(source))
    try:
        class_order(Checkpoint(**checkpoint | {"classes": tuple(checkpoint["classes"])}), tuple(data.classes))
    except UserError as error:
        raise SubmissionRejected(replace(report, problems=[str(error)])) from None


def _build_host(
    entry: Path, report: CheckReport, request: SubmissionRequest, worker: Worker, limits: Limits
) -> BoxHost | None:
    """Builds what runs the code of an entry in boxes. None for an entry without code."""
    if entry.suffix == ".toml":
        return None
    limits = replace(
        limits,
        seconds=request.hours * SECONDS_PER_HOUR,
        memory=0 if request.device not in {None, "cpu"} else limits.memory,
        output=16 * 1024**2,
        written=16 * GIGABYTE,
        network=request.network,
    )
    return BoxHost(entry=entry, worker=worker, limits=limits, unconfined=bool(report.facts["unconfined"]))


def pull_request_files(submitted: SubmissionResult, entry: Path) -> list[str]:
    """Returns the files that belong into the pull request, one line each."""
    facts = submitted.report.facts["metadata"]
    lines = [] if entry.parent == ENTRIES_DIR else [f"a copy of {entry} in {ENTRIES_DIR.name}/"]
    lines += [f"{ENTRIES_DIR.name}/{entry.name}"] if entry.parent == ENTRIES_DIR else []
    lines += [f"{path.parent}/{path.stem}.*" for path in submitted.records]
    others = f"tables, {BASELINES_FILE}, {PROTOCOL_FILE}, {HOUSE_FILE}, figures"
    lines.append(f"other files that git shows as changed in {submitted.directory}: {others}")
    if facts["checkpoint"]:
        lines.append(f"not the weights: {facts['checkpoint']['file']} stays at {facts['checkpoint']['source']}")
    return lines


def describe_other_protocols(submitted: SubmissionResult, preset: str) -> str:
    """Explains why some rows are not ranked with the new ones, and what to do. Empty where all are ranked."""
    if not submitted.num_apart:
        return ""
    if submitted.num_apart == 1:
        models, they = "model of this table was", "It is"
    else:
        models, they = "models of this table were", "They are"
    return (
        f"{submitted.num_apart} {models} made under another protocol ({submitted.difference}). {they} listed below "
        f"the new rows and ranked separately. Repeat `run --preset {preset}` to rank all together"
    )


def _at_input_size(
    request: SubmissionRequest, facts: dict[str, Any], notify: Callable[[str], None]
) -> SubmissionRequest:
    """Scores an external checkpoint at the side that it was trained at, unless the request names another one."""
    if not facts["checkpoint"] or "image_size" in request.changes:
        return request
    side = max(facts["input_size"], MIN_SIZE)
    notify(f"scoring the checkpoint at {side} px, the input size of the entry; --image-size changes it")
    return replace(request, changes=request.changes | {"image_size": side})


def _copy_results(directory: Path, preset: str, notify: Callable[[str], None]) -> None:
    """Copies the results for the evaluation to write into, so that new rows join the existing ones."""
    for table in table_dirs(preset=preset):
        target = directory / table.parent.name / preset
        with writing(table, notify):  # a copy of files that another process writes would not agree
            shutil.copytree(table, target, ignore=shutil.ignore_patterns(LOCK_FILE, f"{TMP_PREFIX}*"))


def _publish(evaluated: Path, report: CheckReport, notify: Callable[[str], None]) -> SubmissionResult:
    """Checks the new records, copies them into the results directory and rebuilds the tables.

    Symbolic links are skipped: they could lead to any file.
    """
    name = report.facts["metadata"]["name"]
    existing = {path.relative_to(results_dir()) for path in all_record_files(name)}
    records = [path for path in evaluated.glob(f"*/*/records/{name}-*.json") if not path.is_symlink()]
    new_records = [path for path in records if _is_new(path, evaluated, existing)]
    if not new_records:
        raise UserError(f"{name}: its records are in the tables already; nothing to do")
    source = new_records[0].parent.parent
    directory = results_dir() / source.relative_to(evaluated)
    with writing(directory, notify):
        # What another process publishes until here counts: trust is restored, judged by and published as one.
        _restore_trust(source, directory)
        _require_acceptable(new_records)
        return _copy_accepted(source, evaluated, new_records, report, notify)


def _require_acceptable(records: Sequence[Path]) -> None:
    """Requires that new records may enter the tables.

    Raises:
        SubmissionRejected: A record has problems.
    """
    for path in records:
        problems = check_record(path).problems
        if not is_only_unverified(problems):  # it can be verified where its files are, and waits there for that
            raise SubmissionRejected(CheckReport(kind="record", path=path, problems=problems))


def _copy_accepted(
    source: Path, evaluated: Path, new_records: list[Path], report: CheckReport, notify: Callable[[str], None]
) -> SubmissionResult:
    """Copies accepted records with their files and tables, then rebuilds the tables."""
    directory = results_dir() / source.relative_to(evaluated)
    own_files = [sidecar_file(record, suffix) for record in new_records for suffix in (*SIDECARS, "json")]
    # A table of the same protocol has its files already, those of a run. A submission does not replace them.
    is_joined = read_protocol(directory).get("protocol") == read_protocol(source).get("protocol")
    table_files = [] if is_joined else [source / file for file in TABLE_FILES]
    if not is_joined:
        _add_protocol(source, directory)
    # Records come last: a record promises that its other files exist.
    for path in sorted([*own_files, *table_files], key=lambda path: path.suffix == ".json"):
        if path.is_file() and not path.is_symlink():
            with atomic_file(directory / path.relative_to(source)) as temporary:
                shutil.copyfile(path, temporary)
    sheets = [*SHEETS, *(path.name for path in directory.glob(RELIANCE_SHEETS))]
    for sheet in () if is_joined else sheets:  # of another protocol: the evaluation removed its copy
        if not (source / sheet).is_file():
            (directory / sheet).unlink(missing_ok=True)
    with atomic_file(directory / HOUSE_FILE) as temporary:  # as restored, with the facts of a new protocol
        shutil.copyfile(source / HOUSE_FILE, temporary)
    notify("writing the tables")
    leaderboard = rebuild(directory)[0]
    for problem in leaderboard.problems:
        notify(f"left out of the tables: {problem}")
    paths = tuple(directory / path.relative_to(source) for path in sorted(new_records))
    return SubmissionResult(
        directory=directory,
        records=paths,
        report=report,
        num_apart=len(leaderboard.other_protocol_models),
        difference=compare_protocols(leaderboard),
    )


def _add_protocol(source: Path, directory: Path) -> None:
    """Adds split and baselines of the protocol of new records. Those of other protocols stay.

    The copy that the records were evaluated with lacks what was published here since then.
    """
    protocol, earlier = (str(read_protocol(path).get("protocol", "")) for path in (source, directory))
    write_split(directory, (source / SPLIT_FILE).read_text(encoding="utf-8"), protocol, earlier)
    records = filter(None, map(load_existing, record_files(directory)))
    others = {record.protocol for record in records} - {protocol}
    path = directory / BASELINES_FILE
    # Those that a run published here meanwhile stay.
    own = baselines_of({protocol}, path) or baselines_of({protocol}, source / BASELINES_FILE)
    write_baselines(directory, own + baselines_of(others, path))


def _restore_trust(source: Path, directory: Path) -> None:
    """Undoes what the evaluation wrote as a run does: which records are of runs, and which are verified."""
    own, stated = find_own_records(directory), read_house(source) or House()
    known = read_house(directory) or House(made={path.name: file_digest(path) for path in own})
    protocols = {**stated.protocols, **known.protocols}
    write_text(source / HOUSE_FILE, known.model_copy(update={"protocols": protocols}).model_dump_json())
    (source / LEDGER_FILE).unlink(missing_ok=True)
    if (directory / LEDGER_FILE).is_file():
        shutil.copyfile(directory / LEDGER_FILE, source / LEDGER_FILE)


def _is_new(path: Path, evaluated: Path, existing: set[Path]) -> bool:
    relative = path.relative_to(evaluated)
    return relative not in existing or (results_dir() / relative).read_bytes() != path.read_bytes()


def _mark_rows(entry: Path, report: CheckReport) -> SubmissionResult:
    """Marks the rows of a withdrawn or superseded entry. They stay in the tables."""
    facts = report.facts["metadata"]
    paths = all_record_files(facts["name"])
    if not paths:
        raise UserError(f"{facts['name']} has no rows to mark; submit it first, without withdrawn or superseded_by")
    directories = sorted({path.parent.parent for path in paths})
    for directory in directories:
        with writing(directory):
            for path in record_files(directory):
                if path in paths:
                    _mark_row(path, entry, facts)
            rebuild(directory)
    return SubmissionResult(directory=directories[0], records=tuple(paths), report=report)


def _mark_row(path: Path, entry: Path, facts: dict[str, Any]) -> None:
    """Writes into a record what its entry says now."""
    record = load_record(path)
    submission = Submission(
        entry=entry.name,
        sha256=file_digest(entry),
        unconfined=record.submission is not None and record.submission.unconfined,
        checkpoint=facts["checkpoint"] or {},
        **{name: facts[name] for name in ("authors", "license", "source", "superseded_by", "withdrawn")},
    )
    regime = entries(Regime)[record.regime]
    title = format_regime_title(regime.title or regime.name, submission)
    write_record(path, record.model_copy(update={"submission": submission, "regime_title": title}))
