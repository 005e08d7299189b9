"""From finished cells to a results directory: records, baselines, figures, and last the tables."""

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
from benchmark.storage.files import new_file
from benchmark.storage.protocol import read_protocol
from benchmark.storage.results import (
    BASELINES_FILE,
    SPLIT_FILE,
    beside,
    record_file,
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
"""What cells of earlier versions, and those whose images are not perturbed, did not leave."""


def job_results_dir(job: Job) -> Path:
    """Where the tables of a job's run lie."""
    return table_dir(job.data.name, job.preset.name)


def up_to_date(jobs: Sequence[Job]) -> bool:
    """Whether every job is done and stands in the tables."""
    directory = job_results_dir(jobs[0])
    tables = [directory / name for name in ("leaderboard.md", "leaderboard.csv", PAGE, DATA_FIGURE)]
    names = [*tables, directory / SPLIT_FILE, *(_record_file(directory, job) for job in jobs)]
    if not all(job.done for job in jobs) or not all(path.is_file() for path in names):
        return False
    content = read_protocol(directory)
    return content.get("protocol") == jobs[0].protocol and {job.key for job in jobs} <= set(
        content.get("in_tables", ())
    )


def _record_file(directory: Path, job: Job) -> Path:
    cell = job.cell
    return record_file(directory, cell.architecture.name, cell.regime.name, cell.seed)


def publish_record(job: Job, directory: Path) -> None:
    """Copies the outcome of a cell; the record last, since it says that the rest is there."""
    target = _record_file(directory, job)
    for name, suffix in reversed(FILES.items()):
        path = beside(target, suffix)
        if name in OPTIONAL and not (job.directory / name).is_file():
            path.unlink(missing_ok=True)
            continue
        with new_file(path) as temporary:
            shutil.copyfile(job.directory / name, temporary)


def publish_baselines(job: Job, directory: Path) -> None:
    """Scores the baselines; the untrained networks are those of all models of the table, not of this run alone."""
    known = entries(Architecture)
    listed = {record.architecture for record in read_results(directory).records.values()}
    architectures = [known[name] for name in sorted(listed & known.keys())]
    device = nearest_device(job.device)
    methods, alignment = select(Method, job.preset.methods), job.preset.alignment
    frame = score_baselines(job.data, architectures, methods, device, job.protocol, alignment=alignment)
    with new_file(directory / BASELINES_FILE) as temporary:
        frame.assign(protocol=job.protocol).to_parquet(temporary)
