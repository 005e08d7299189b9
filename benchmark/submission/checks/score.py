"""Verifies the scores of a record: some of its test images are scored again with its checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark import __version__
from benchmark.errors import UserError
from benchmark.leaderboard.admission.fields import REMEDY
from benchmark.storage.hashing import file_digest
from benchmark.storage.ledger import enter_verification
from benchmark.storage.lock import writing
from benchmark.storage.record import Record, Verification, load_record
from benchmark.storage.results import all_record_files, record_files, sidecar_file
from benchmark.storage.runs import model_histories, runs_dir
from benchmark.submission.checks.comparison import compare
from benchmark.submission.checks.drawing import describe_draw, draw_images
from benchmark.submission.checks.report import CheckReport
from benchmark.submission.checks.rescore import rescore_by_answers
from benchmark.submission.entries import ENTRIES_DIR, own_files
from benchmark.submission.judge.host import BoxHost
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import Scores
from benchmark.submission.sandbox.worker import one_line


@dataclass(frozen=True, kw_only=True, slots=True)
class RescoreOptions:
    """How the scores of records are verified.

    Attributes:
        checkpoint: File of the weights. None searches for it by its SHA-256.
        data: Directory of the data set. None is the embedded one.
        layout: Its layout. None detects it.
        sample_size: Number of test images to score again. None finds a forgery of 10 % of them with probability 0.99,
            0 means all.
        entries: A directory of entries, in addition to that of the repository.
        mark_verified: Whether to enter a record whose scores were verified into the ledger of its directory.
    """

    checkpoint: Path | None = None
    data: Path | None = None
    layout: str | None = None
    sample_size: int | None = None
    entries: Path | None = None
    mark_verified: bool = False


def verify_scores(report: CheckReport, worker: Worker, limits: Limits, options: RescoreOptions) -> CheckReport:
    """Scores some test images of a record again. Code of its entry runs in a box, which gets images and weights alone.

    Without the weights nothing can be verified. The report then comes back as it is.

    Args:
        report: Report of the record, without problems but that nobody verified it.
        worker: Runs the code of its entry.
        limits: Limits of the child, or of the box.
        options: Weights, data and number of images.

    Returns:
        The report, with "scores" (reported, scored again, tolerance) and the badge among the facts.

    Raises:
        UserError: The file of the weights does not exist.
    """
    record = load_record(report.path)
    entry = find_entry(record, options.entries)
    weights = _find_weights(record, entry, options)
    if weights is None:
        return report
    if line := _check_weights(report.path, record, weights):
        return replace(report, problems=[*report.problems, line])
    every = read_image_names(report.path)
    images = draw_images(every, options.sample_size)
    arguments = {
        "record": str(report.path.resolve()),
        "checkpoint": str(weights.resolve()),
        "images": images,
        "source": {"directory": str(options.data.resolve()) if options.data else None, "layout": options.layout},
    }
    try:
        found = _score_again(entry, worker, limits, arguments)
    except UserError as error:
        return _with_failure(report, error, mark=options.mark_verified)
    verification, problems = compare(report.path, record, found, images)
    verification = verification.model_copy(update={"finds": describe_draw(len(every), len(images))})
    if found.key and found.key != record.key:
        problems.append("its key is not that of its settings, data and code")
    return _conclude(report, verification, problems, mark=options.mark_verified)


def needs_box(path: Path, options: RescoreOptions) -> bool:
    """Whether the scores of an admitted record are verified by the answers of code, which runs in a box."""
    return _has_code(find_entry(load_record(path), options.entries))


def _has_code(entry: Path | None) -> bool:
    return entry is not None and entry.suffix != ".toml"


def _score_again(entry: Path | None, worker: Worker, limits: Limits, arguments: dict[str, Any]) -> Scores:
    """Scores images again: in this process by the answers of code in a box, or in a child that runs no such code.

    Raises:
        UserError: It failed. The message says why.
    """
    if entry is not None and _has_code(entry):
        try:
            return rescore_by_answers(BoxHost(entry=entry, worker=worker, limits=limits, echo=False), **arguments)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - answers of a stranger's network can break any computation
            raise UserError(one_line(error)) from None
    runs_dir().mkdir(parents=True, exist_ok=True)
    source = arguments["source"]["directory"]
    read = [Path(arguments["record"]).parent.parent, Path(arguments["checkpoint"])]
    read += [*([Path(source)] if source else []), *(own_files(entry) if entry else [])]
    arguments = arguments | {"entry": str(entry) if entry else None}
    limits = replace(limits, trust=True)  # no code of a stranger
    outcome = worker.run("rescore", arguments, limits, Scores, readable=read, writable=[runs_dir()])
    if outcome.result is None:
        raise UserError(outcome.error)
    return outcome.result


def read_image_names(path: Path) -> list[str]:
    """Reads the names of the test images of a record."""
    return list(pd.read_parquet(sidecar_file(path, "predictions.parquet"), columns=["image"])["image"].astype(str))


def _find_weights(record: Record, entry: Path | None, options: RescoreOptions) -> Path | None:
    """Finds the weights of a record. None where nothing can be verified.

    Raises:
        UserError: The file that was given does not exist.
    """
    is_unknown = record.submission is not None and entry is None
    if record.external_maps is not None or is_unknown:
        return None
    weights = options.checkpoint or find_checkpoint(record, entry)
    if weights is not None and not weights.is_file():
        raise UserError(f"--checkpoint: {weights} does not exist; give a safetensors file")
    return weights


def _check_weights(path: Path, record: Record, weights: Path) -> str:
    """Returns the reason why weights are not those of a record alone. Empty if they are."""
    if file_digest(weights) != record.training.sha256:
        return f"{weights.name} has another SHA-256 than the weights that the record names"
    owner = find_other_owner(path, record)
    return f"its weights are those of {owner}; weights belong to one model, regime and seed" if owner else ""


def _with_failure(report: CheckReport, error: UserError, *, mark: bool) -> CheckReport:
    """Adds to a report that the verification failed: a problem where the ledger waits for it, else a warning."""
    line = f"its scores could not be verified: {error}"
    if mark:
        return replace(report, problems=[*report.problems, line])
    return replace(report, warnings=[*report.warnings, line])


def _conclude(report: CheckReport, verification: Verification, problems: list[str], *, mark: bool) -> CheckReport:
    """Adds the outcome to a report, and to the ledger if `mark` is set."""
    badge = "refused" if problems else "verified"
    facts = report.facts | {"scores": verification.scores, "badge": badge, "finds": verification.finds}
    if problems:
        return replace(report, problems=[*report.problems, *problems], facts=facts)
    if mark:
        _enter(report.path, verification)
    return replace(report, problems=[] if mark else report.problems, facts=facts)


def _enter(path: Path, verification: Verification) -> None:
    """Enters a record into the ledger of its results directory."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    stated = {"record": path.name, "when": when, "version": __version__}
    with writing(path.parent.parent):
        enter_verification(path, verification.model_copy(update=stated))


def is_only_unverified(problems: Sequence[str]) -> bool:
    """Returns whether a verification answers all that is held against a record."""
    return all(REMEDY in line for line in problems)


def find_other_owner(path: Path, record: Record) -> str:
    """Finds a record of another model, regime or seed with the same weights, in any results directory."""
    own = record.architecture, record.regime, record.seed
    for other in {*all_record_files(), *record_files(path.parent.parent)} - {path}:
        try:
            theirs = load_record(other)
        except (OSError, ValueError):
            continue
        is_other = (theirs.architecture, theirs.regime, theirs.seed) != own
        if is_other and theirs.training.sha256 == record.training.sha256:
            return f"{theirs.architecture}/{theirs.regime}, seed {theirs.seed}"
    return ""


def find_checkpoint(record: Record, entry: Path | None) -> Path | None:
    """Finds the weights of a record by their SHA-256 among the runs, or by name in the directory of its entry."""
    for history in model_histories():
        file = history.with_name("model.safetensors")
        names_it = f'"{record.training.sha256}"' in history.read_text(encoding="utf-8", errors="replace")
        if names_it and file.is_file() and file_digest(file) == record.training.sha256:
            return file
    name = str(record.submission.checkpoint.get("file", "")) if record.submission else ""
    directories = [ENTRIES_DIR, *([entry.parent] if entry else [])]
    candidates = [directory / Path(name).name for directory in directories if name]
    return next((path for path in candidates if path.is_file()), None)


def find_entry(record: Record, directory: Path | None) -> Path | None:
    """Finds the entry file of a submitted record in the directories of entries."""
    if record.submission is None:
        return None
    candidates = [root / Path(record.submission.entry).name for root in (ENTRIES_DIR, directory) if root]
    return next((path.resolve() for path in candidates if path.is_file()), None)
