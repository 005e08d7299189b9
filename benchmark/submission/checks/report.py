"""Looking at entries and records, and what is found in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.registry import entries, source_file
from benchmark.storage.paths import ROOT
from benchmark.storage.results import all_record_files
from benchmark.submission.checks.record import read_record_report
from benchmark.submission.entries import HOME, SUFFIXES, Facts, checked, entry_file, entry_files, read_toml
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import Limits

Report = dict[str, Any]
"""One entry or record as JSON: kind, path, problems, warnings, facts."""


@dataclass(kw_only=True)
class CheckReport:
    """What was found in one entry or record.

    Attributes:
        kind: "entry" or "record".
        path: Its file.
        problems: What must be mended, a line each.
        warnings: What may be meant so.
        facts: What is known of it.
    """

    kind: str
    path: Path
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> Report:
        """For programs."""
        return {"kind": self.kind, "path": str(self.path)} | {
            name: getattr(self, name) for name in ("problems", "warnings", "facts")
        }


def targets(words: Sequence[str], directory: Path | None) -> tuple[list[Path], list[Path]]:
    """The entry files and the records that words on the command line mean.

    Args:
        words: Paths of entries, records or directories of results, and names of entries; none means all that there is.
        directory: A directory of entries.

    Raises:
        UserError: A word means nothing.
    """
    if not words:
        ours = [] if directory else [source_file(entry) for entry in entries(Architecture).values()]
        theirs = entry_files(directory) if directory else entry_files(HOME) if HOME.is_dir() else []
        return [*ours, *theirs], [] if directory else all_record_files()
    found: tuple[list[Path], list[Path]] = [], []
    for word in words:
        path = Path(word)
        if path.is_dir():
            records = sorted(path.rglob("records/[!.]*.json")) or sorted(path.glob("[!.]*.json"))
            if not records and not (beside := entry_files(path)):
                raise UserError(f"{path} holds neither entries nor records")
            found[1].extend(records)
            found[0].extend([] if records else beside)
        elif path.suffix == ".json" and path.is_file():
            found[1].append(path)
        elif (ROOT / "architectures" / f"{word}.py").is_file():
            found[0].append(ROOT / "architectures" / f"{word}.py")
        else:
            found[0].append(entry_file(word, directory))
    return found


def check_entry(path: Path, worker: Worker, limits: Limits, *, with_checkpoint: bool = False) -> CheckReport:
    """Tries the contract on an entry, in a child process, and reads what it says of itself.

    Args:
        path: The entry file; its code runs in the child alone.
        worker: Runs it.
        limits: What it may take.
        with_checkpoint: Whether a checkpoint that it names must be at hand.
    """
    found = CheckReport(kind="entry", path=path)
    ours = path.parent == ROOT / "architectures"
    if path.suffix == ".toml":
        try:
            read_toml(path)
        except UserError as error:
            found.problems.append(str(error))
            return found
    given = {"entry": str(path), "ours": ours, "with_checkpoint": with_checkpoint}
    outcome = worker.ask("examine", given, limits)
    if outcome.refused:
        found.problems.append(f"{outcome.refused}{_last(outcome.output)}")
        return found
    try:
        told = CheckReport(kind="entry", path=path, **outcome.found)
    except TypeError:
        found.problems.append("sends a result that is none")
        return found
    told = replace(told, facts=told.facts | {"seconds": outcome.seconds, "confined": outcome.confined})
    _metadata(told, ours=ours)
    return told


def _metadata(found: CheckReport, *, ours: bool) -> None:
    """What the entry says of itself, read here since the child's word for it is the entry's."""
    if "metadata" not in found.facts:
        return
    try:
        facts = checked(lambda: Facts.model_validate(found.facts["metadata"]))
    except UserError as error:
        found.problems.append(str(error))
        return
    if not isinstance(facts, Facts) or ours:
        return
    if facts.name != found.path.stem:
        found.problems.append(f"is named {facts.name} but lies in {found.path.name}; give both one name")
    if facts.name in taken(besides=found.path):
        found.problems.append(f"name: {facts.name} is taken; a new version is a new entry with a name of its own")
    if facts.superseded_by and facts.superseded_by not in taken(besides=found.path):
        found.problems.append(f"superseded_by: there is no entry {facts.superseded_by}")
    missing = [name for name in ("authors", "license") if not getattr(facts, name)]
    if missing:
        found.warnings.append(f"says nothing of its {' and '.join(missing)}")


def taken(besides: Path) -> set[str]:
    """Names of entries, but for that of one file and of its copies."""
    near = [*(entry_files(HOME) if HOME.is_dir() else []), *besides.parent.glob("*")]
    files = {path.resolve() for path in near if path.suffix in SUFFIXES} - {besides.resolve()}
    same = besides.read_bytes() if besides.is_file() else b""
    return entries(Architecture).keys() | {path.stem for path in files if path.read_bytes() != same}


def check_record(path: Path) -> CheckReport:
    """Reads a record and what lies beside it; runs no code of its entry."""
    problems, warnings, facts = read_record_report(path)
    return CheckReport(kind="record", path=path, problems=problems, warnings=warnings, facts=facts)


def all_problems(found: Iterable[CheckReport]) -> int:
    """How many problems there are."""
    return sum(len(each.problems) for each in found)


def _last(output: str) -> str:
    """The last line that was printed, for an entry that did not come to an end."""
    lines = ["".join(letter for letter in line if letter.isprintable())[:120] for line in output.splitlines()]
    lines = [line for line in lines if line.strip()]
    return f"; the last it printed: {lines[-1]}" if lines else ""
