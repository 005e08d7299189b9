"""Runs the checks of entries and records, and collects their results in reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.leaderboard.admission.admit import Admission
from benchmark.registry import entries, source_file
from benchmark.storage.paths import ROOT
from benchmark.storage.results import all_record_files
from benchmark.submission.checks.record import read_record_report
from benchmark.submission.entries import (
    ENTRIES_DIR,
    MAX_BYTES,
    SUFFIXES,
    EntryFacts,
    entry_file,
    entry_files,
    own_files,
    read_toml,
    require_entry,
    validate_fields,
)
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import EntryChecks

PLACEHOLDERS = {"source": "Who described it, year, arXiv number or DOI", "authors": "Who submits it"}
"""Texts of the template that `new` writes, which an author replaces."""
Report = dict[str, Any]
"""One entry or record as JSON: kind, path, problems, warnings, facts."""


@dataclass(kw_only=True)
class CheckReport:
    """Result of checking one entry or record.

    Attributes:
        kind: "entry" or "record".
        path: Its file.
        problems: What must be fixed, one line each.
        warnings: What may be intended, one line each.
        facts: Metadata and measurements.
    """

    kind: str
    path: Path
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> Report:
        """Returns the report as plain values for JSON."""
        return {"kind": self.kind, "path": str(self.path)} | {
            name: getattr(self, name) for name in ("problems", "warnings", "facts")
        }


def targets(words: Sequence[str], directory: Path | None) -> tuple[list[Path], list[Path]]:
    """Finds the entry files and the records that arguments of the command line refer to.

    Args:
        words: Paths of entries, records or results directories, and names of entries. None means all that exist.
        directory: A directory of entries.

    Raises:
        UserError: An argument refers to nothing.
    """
    if not words:
        registered = [] if directory else [source_file(entry) for entry in entries(Architecture).values()]
        submitted = entry_files(directory) if directory else _submitted_files()
        return [*registered, *submitted], [] if directory else all_record_files()
    files: list[Path] = []
    records: list[Path] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            inside = sorted(path.rglob("records/[!.]*.json")) or sorted(path.glob("[!.]*.json"))
            if not inside and not (directory_entries := entry_files(path)):
                raise UserError(f"{path} holds neither entries nor records; give another directory")
            records.extend(inside)
            files.extend([] if inside else directory_entries)
        elif path.suffix == ".json" and path.is_file():
            records.append(path)
        elif (ROOT / "architectures" / f"{word}.py").is_file():
            files.append(ROOT / "architectures" / f"{word}.py")
        else:
            files.append(entry_file(word, directory))
    return files, records


def check_entry(path: Path, worker: Worker, limits: Limits, *, with_checkpoint: bool = False) -> CheckReport:
    """Runs the checks of an entry in a child process, then checks its metadata in this one.

    Args:
        path: The entry file. Its code runs in the child alone.
        worker: Runs it.
        limits: Limits of the child.
        with_checkpoint: Whether the file of a checkpoint must exist.
    """
    report = CheckReport(kind="entry", path=path)
    registered = path.parent == ROOT / "architectures"
    try:
        require_entry(path)
        if path.suffix == ".toml":
            read_toml(path)
    except UserError as error:
        report.problems.append(str(error))
        return report
    arguments = {"entry": str(path), "registered": registered, "with_checkpoint": with_checkpoint}
    if registered or path.suffix == ".toml":
        limits = replace(limits, trust=True)  # no code of a stranger
    outcome = worker.run("run_entry_checks", arguments, limits, EntryChecks, readable=own_files(path))
    if outcome.result is None:
        report.problems.append(f"{outcome.error}{_last_line(outcome.output)}")
        return report
    facts = {name: value for name, value in outcome.result.facts.model_dump(by_alias=True).items() if value is not None}
    facts |= {"seconds": outcome.seconds, "unconfined": outcome.unconfined}
    found = outcome.result
    report = replace(report, problems=found.problems, warnings=found.warnings, facts=facts)
    _check_metadata(report, registered=registered)
    return report


def _check_metadata(report: CheckReport, *, registered: bool) -> None:
    """Validates the metadata here: the entry's code runs in the child, so the child's result is not trusted."""
    if "metadata" not in report.facts:
        return
    try:
        facts = validate_fields(lambda: EntryFacts.model_validate(report.facts["metadata"]))
    except UserError as error:
        report.problems.append(str(error))
        return
    if registered:
        return
    if facts.name != report.path.stem:
        report.problems.append(f"is named {facts.name} but its file is {report.path.name}; give both one name")
    used = used_names(besides=report.path)
    if facts.name in used:
        report.problems.append(f"name: {facts.name} is in use; a new version is a new entry with a name of its own")
    if facts.superseded_by and facts.superseded_by not in used:
        report.problems.append(f"superseded_by: there is no entry {facts.superseded_by}")
    missing = [name for name in ("authors", "license") if not getattr(facts, name)]
    if missing:
        report.warnings.append(f"has no {' and no '.join(missing)}; name them in the entry")
    report.warnings += [
        f"{name}: still has the text of the template ({text!r}); write your own"
        for name, text in PLACEHOLDERS.items()
        if getattr(facts, name) == text
    ]


def used_names(besides: Path) -> set[str]:
    """Returns the names of all entries, without that of one file and of its identical copies."""
    candidates = [*_submitted_files(), *besides.parent.glob("*")]
    files = {path.resolve() for path in candidates if path.suffix in SUFFIXES and _is_small(path)} - {besides.resolve()}
    content = besides.read_bytes() if besides.is_file() else b""
    return entries(Architecture).keys() | {path.stem for path in files if path.read_bytes() != content}


def _is_small(path: Path) -> bool:
    """Whether a file is regular and small enough for an entry. A pipe or a device would never end."""
    return path.is_file() and path.stat().st_size <= MAX_BYTES


def _submitted_files() -> list[Path]:
    return entry_files(ENTRIES_DIR) if ENTRIES_DIR.is_dir() else []


def check_record(path: Path, admission: Admission | None = None) -> CheckReport:
    """Reads a record and the files next to it. Runs no code of its entry.

    Args:
        path: The record.
        admission: That of its results directory. None finds it.
    """
    problems, warnings, facts = read_record_report(path, admission)
    return CheckReport(kind="record", path=path, problems=problems, warnings=warnings, facts=facts)


def all_problems(reports: Iterable[CheckReport]) -> int:
    """Returns the number of problems."""
    return sum(len(report.problems) for report in reports)


def _last_line(output: str) -> str:
    """Returns the last line that an unfinished entry printed, for the message."""
    lines = ["".join(char for char in line if char.isprintable())[:120] for line in output.splitlines()]
    lines = [line for line in lines if line.strip()]
    return f"; the last line it printed: {lines[-1]}" if lines else ""
