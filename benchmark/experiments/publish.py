"""Publishes finished cells to a results directory: records and baselines."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from architectures import Architecture
from benchmark.baselines.score import score_baselines
from benchmark.experiments.job import Job
from benchmark.leaderboard.build import DATA_FIGURE, PAGE
from benchmark.leaderboard.load.results import read_results
from benchmark.registry import entries, select
from benchmark.runtime.device import nearest_device
from benchmark.saliency import Method
from benchmark.storage.files import atomic_file
from benchmark.storage.protocol import read_protocol
from benchmark.storage.results import (
    BASELINES_FILE,
    SPLIT_FILE,
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
OPTIONAL = frozenset({"curves.parquet"})
"""Files that are missing in cells of earlier versions and in cells without perturbed images."""


def job_results_dir(job: Job) -> Path:
    """Returns the directory of the tables of a job's run."""
    return table_dir(job.data.name, job.preset.name)


def up_to_date(jobs: Sequence[Job]) -> bool:
    """Whether every job is done and in the tables."""
    directory = job_results_dir(jobs[0])
    tables = [directory / name for name in ("leaderboard.md", "leaderboard.csv", PAGE, DATA_FIGURE)]
    paths = [*tables, directory / SPLIT_FILE, *(_record_file(directory, job) for job in jobs)]
    if not all(job.done for job in jobs) or not all(path.is_file() for path in paths):
        return False
    content = read_protocol(directory)
    return content.get("protocol") == jobs[0].protocol and {job.key for job in jobs} <= set(
        content.get("in_tables", ())
    )


def _record_file(directory: Path, job: Job) -> Path:
    cell = job.cell
    return record_file(directory, cell.architecture.name, cell.regime.name, cell.seed)


def publish_record(job: Job, directory: Path) -> None:
    """Copies the results of a cell."""
    copy_cell(job.directory, _record_file(directory, job))


def copy_cell(source: Path, target: Path) -> None:
    """Copies the files of a cell next to the path of its record.

    The record comes last, since it marks the rest as complete.
    """
    for name, suffix in reversed(FILES.items()):
        path = sidecar_file(target, suffix)
        if name in OPTIONAL and not (source / name).is_file():
            path.unlink(missing_ok=True)
            continue
        with atomic_file(path) as temporary:
            shutil.copyfile(source / name, temporary)


def publish_baselines(job: Job, directory: Path) -> None:
    """Scores the baselines. Untrained networks cover all models of the table, not only those of this run."""
    registered = entries(Architecture)
    listed = {record.architecture for record in read_results(directory).records.values()}
    architectures = [registered[name] for name in sorted(listed & registered.keys())]
    device = nearest_device(job.device)
    methods, alignment = select(Method, job.preset.methods), job.preset.alignment
    frame = score_baselines(job.data, architectures, methods, device, job.protocol, alignment=alignment)
    with atomic_file(directory / BASELINES_FILE) as temporary:
        frame.assign(protocol=job.protocol).to_parquet(temporary)
