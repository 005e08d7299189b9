"""Publishes finished cells to a results directory: records and baselines."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from architectures import Architecture
from benchmark.baselines.score import score_baselines
from benchmark.config.presets import PRESETS
from benchmark.experiments.job import Job
from benchmark.experiments.pictures import has_pictures, may_publish
from benchmark.experiments.sheets import remove_sheets
from benchmark.leaderboard.admission.admit import admit
from benchmark.leaderboard.admission.comparison import TRAINING
from benchmark.leaderboard.admission.files import find_damaged_file
from benchmark.leaderboard.analysis.other_protocols import describe_difference
from benchmark.leaderboard.build import PAGE
from benchmark.leaderboard.load.results import read_results
from benchmark.registry import entries, select
from benchmark.runtime.device import nearest_device
from benchmark.saliency import Method
from benchmark.storage.files import atomic_file, write_text
from benchmark.storage.house import TableFacts, discard_if_damaged, is_stated, list_made, read_house, state_facts
from benchmark.storage.parquet import write_parquet
from benchmark.storage.protocol import is_changed, read_protocol, write_protocol
from benchmark.storage.record import Record, load_record
from benchmark.storage.results import (
    BASELINES_FILE,
    SPLIT_FILE,
    earlier_split_file,
    record_file,
    sidecar_file,
    table_dir,
)

FILES = {
    "record.json": "json",
    "scores.parquet": "scores.parquet",
    "predictions.parquet": "predictions.parquet",
    "curves.parquet": "curves.parquet",
    "classification.csv": "classification.csv",
}
ADDED_LATER = {"badge", "verification", "submission", "regime_title"}
"""Fields of a published record that `check` and `submit` write."""
OPTIONAL = frozenset({"curves.parquet"})
"""Files that are missing in cells of earlier versions and in cells without perturbed images."""


def job_results_dir(job: Job) -> Path:
    """Returns the directory of the tables of a job's run."""
    return table_dir(job.data.name, job.preset.name)


def up_to_date(jobs: Sequence[Job], *, pictures: bool | None = None) -> bool:
    """Whether every job is done, published without damage, and in the tables.

    Args:
        jobs: The jobs.
        pictures: Whether to publish pictures of test images. None follows the license of the data.
    """
    directory = job_results_dir(jobs[0])
    if not all(job.done for job in jobs) or not all(is_published(job, directory) for job in jobs):
        return False
    marker = read_protocol(directory)
    tables = {"leaderboard.md", "leaderboard.csv", PAGE, SPLIT_FILE, BASELINES_FILE}
    return (
        marker.get("protocol") == jobs[0].protocol
        and is_stated(directory, jobs[0].protocol)
        and {job.key for job in jobs} <= set(marker.get("in_tables", ()))
        and all((directory / name).is_file() for name in tables)
        and has_pictures(directory) == may_publish(jobs[0].data, pictures)
        and not any(is_changed(directory, name) for name in marker.get("files", {}))
        and (directory / SPLIT_FILE).read_bytes() == jobs[0].data.manifest.read_bytes()
    )


def publish_cells(jobs: Sequence[Job], directory: Path, report: Callable[[str], object]) -> None:
    """Publishes the split of the data and the records of finished cells. The tables no longer count as complete.

    Args:
        jobs: The finished cells, of one protocol.
        directory: The results directory.
        report: Receives a line about each row that the records replace or move.
    """
    protocol, earlier = jobs[0].protocol, read_protocol(directory).get("protocol", "")
    if earlier not in {"", protocol}:
        why = _compare(directory, earlier, jobs[0])
        report(f"Some rows follow another protocol ({why}). They stay below the new ones.")
        remove_sheets(directory)
    # Of a damaged list nothing is believed. It then has the records of these jobs alone.
    own = [] if discard_if_damaged(directory) else find_own_records(directory)
    lines = [publish_split(jobs[0], directory, earlier)]
    write_protocol(directory, protocol)
    for job in jobs:
        lines += publish_record(job, directory)
    state_house(jobs, directory, own)
    for line in filter(None, lines):
        report(line)


def _compare(directory: Path, protocol: str, job: Job) -> str:
    """Says in which settings an earlier protocol of a directory differs from that of a job."""
    house = read_house(directory) if is_stated(directory, protocol) else None
    return describe_difference(house.protocols[protocol].settings if house else {}, table_facts(job).settings)


def is_published(job: Job, directory: Path) -> bool:
    """Whether the record of a job and its files are in a results directory, without damage.

    The record may differ from that of the cell by what is written into it later: a verification, marks of its entry.
    """
    path = find_record_file(directory, job)
    record, original = load_existing(path), load_existing(job.directory / "record.json")
    if record is None or original is None:
        return False
    same = record.model_dump(exclude=ADDED_LATER) == original.model_dump(exclude=ADDED_LATER)
    return same and find_damaged_file(path, record) is None


def find_record_file(directory: Path, job: Job) -> Path:
    """Returns the path of a job's record. A record of this job without an identity in its name retains its name."""
    cell = job.cell
    names = cell.architecture.name, cell.regime.name, cell.seed
    unnamed = record_file(directory, *names)
    record = load_existing(unnamed)
    return unnamed if record and record.key == job.key else record_file(directory, *names, job.identity)


def load_existing(path: Path) -> Record | None:
    """Loads a published record. None if it is missing or damaged."""
    try:
        return load_record(path)
    except (OSError, ValueError):
        return None


def publish_record(job: Job, directory: Path) -> list[str]:
    """Copies the results of a cell. The record comes last, since it marks the rest as complete.

    Returns:
        One line for each record that it replaces: one with the same settings and data, made by other code.
    """
    target = find_record_file(directory, job)
    replaced = _find_replaced(directory, job, target)
    if not is_published(job, directory):
        copy_cell(job.directory, target)
    for path in replaced:
        if path != target:
            _remove_record(path)
    reason = "made by other code with the same settings and data"
    return [f"{target.name} replaces {path.name}, {reason}" for path in replaced]


def copy_cell(source: Path, target: Path) -> None:
    """Copies the files of a cell next to the path of its record.

    The record comes last, since it marks the rest as complete.
    """
    for name, suffix in reversed(FILES.items()):
        path = sidecar_file(target, suffix)
        _remove_irregular(path)
        if name in OPTIONAL and not (source / name).is_file():
            path.unlink(missing_ok=True)
            continue
        with atomic_file(path) as temporary:
            shutil.copyfile(source / name, temporary)


def _remove_irregular(path: Path) -> None:
    """Removes what is no regular file, such as a directory or a link. What a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or (path.exists() and not path.is_file()):
        path.unlink()


def _find_replaced(directory: Path, job: Job, target: Path) -> list[Path]:
    """Finds the records with the settings and data of a job that other code made."""
    cell = job.cell
    unnamed = record_file(directory, cell.architecture.name, cell.regime.name, cell.seed)
    replaced = []
    for path in dict.fromkeys([target, unnamed]):
        record = load_existing(path)
        if record is None or record.key == job.key:
            continue
        # A record without an identity is of the same row if the protocol, which covers the data, is the same.
        if path == target or (record.protocol == job.protocol and not record.variant and _trained_alike(record, job)):
            replaced.append(path)
    return replaced


def _trained_alike(record: Record, job: Job) -> bool:
    """Whether the training settings of a record equal those of a job."""
    current = load_existing(job.directory / "record.json")
    return current is not None and current.settings.get("training") == record.settings.get("training")


def _remove_record(path: Path) -> None:
    """Removes a record first and its other files then, so that no record is without files."""
    path.unlink(missing_ok=True)
    for suffix in FILES.values():
        sidecar_file(path, suffix).unlink(missing_ok=True)


def find_own_records(directory: Path) -> list[Path]:
    """Finds the records of runs in a directory of an earlier version, which does not list them. Else none."""
    if read_house(directory) is not None or not directory.is_dir():
        return []
    return [path for path, record in admit(directory).records.items() if record.submission is None]


def state_house(jobs: Sequence[Job], directory: Path, earlier: Sequence[Path] = ()) -> None:
    """Writes what admission compares other records with: the data, and which records runs published here.

    Args:
        jobs: The published jobs, of one protocol.
        directory: The results directory.
        earlier: From :func:`find_own_records`, before the run wrote anything.
    """
    state_facts(directory, {jobs[0].protocol: table_facts(jobs[0])})
    paths = [find_record_file(directory, job) for job in jobs]
    list_made(directory, list(dict.fromkeys([*earlier, *paths])))


def table_facts(job: Job) -> TableFacts:
    """Returns the data and settings of a job's protocol."""
    tested = job.data.samples.iloc[job.data.test]
    # A labeled variant joins the table of its preset, with training settings of its own.
    base = PRESETS.get(job.preset.name, job.preset) if job.cell.variant else job.preset
    preset = replace(job.preset, **{name: getattr(base, name) for name in TRAINING})
    return TableFacts(
        dataset=job.data.name,
        synthetic=job.data.synthetic,
        preset=job.preset.name,
        classes=job.data.classes,
        images=tuple(tested["id"].astype(str)),
        labels=tuple(map(int, tested["label"])),
        groups=tuple(tested["group"].astype(str)),
        settings=json.loads(json.dumps(asdict(preset))),
    )


def publish_split(job: Job, directory: Path, protocol: str) -> str:
    """Copies the split of the data. A different split, of rows of another protocol, is stored under its own name.

    Args:
        job: Any job of the run.
        directory: The results directory.
        protocol: The protocol of the directory so far. Empty if it is unknown.

    Returns:
        A line about the earlier split. Empty if there is none.
    """
    return write_split(directory, job.data.manifest.read_text(encoding="utf-8"), job.protocol, protocol)


def write_split(directory: Path, text: str, protocol: str, earlier_protocol: str) -> str:
    """Writes the split of a protocol as :func:`publish_split` does."""
    path = directory / SPLIT_FILE
    line = ""
    _remove_irregular(path)
    if path.is_file() and earlier_protocol not in {"", protocol} and path.read_bytes() != text.encode():
        earlier = earlier_split_file(directory, earlier_protocol)
        path.replace(earlier)
        line = f"{earlier.name} is the split of the rows of the other protocol"
    write_text(path, text)
    return line


def publish_baselines(job: Job, directory: Path) -> None:
    """Scores the baselines. Untrained networks cover all models of the table, not only those of this run."""
    registered = entries(Architecture)
    published = read_results(directory)
    listed = {record.architecture for record in published.records.values()}
    architectures = [registered[name] for name in sorted(listed & registered.keys())]
    device = nearest_device(job.device)
    frame = score_baselines(
        job.data,
        architectures,
        select(Method, job.preset.methods),
        device,
        job.protocol,
        alignment=job.preset.alignment,
        grid_stride=job.preset.grid_stride,
    )
    others = baselines_of({record.protocol for record in published.others.values()}, directory / BASELINES_FILE)
    write_baselines(directory, [frame.assign(protocol=job.protocol), *others])


def write_baselines(directory: Path, frames: Sequence[pd.DataFrame]) -> None:
    """Writes the scores of the baselines of all protocols."""
    _remove_irregular(directory / BASELINES_FILE)
    with atomic_file(directory / BASELINES_FILE) as temporary:
        write_parquet(pd.concat(frames, ignore_index=True), temporary)


def baselines_of(protocols: set[str], path: Path) -> list[pd.DataFrame]:
    """Loads the baselines of other protocols that still have rows. Empty if there are none, or the file is damaged."""
    try:
        if is_changed(path.parent, path.name):
            return []
        frame = pd.read_parquet(path)
        frame = frame[frame["protocol"].isin(protocols)]
    except (OSError, ValueError, KeyError):
        return []
    return [frame] if len(frame) else []
