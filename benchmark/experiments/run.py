"""A complete run: cells, baselines and leaderboard."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmark.data.dataset import leaks
from benchmark.experiments.engine import Engine
from benchmark.experiments.estimate import order_by_cost
from benchmark.experiments.interim import InterimTables
from benchmark.experiments.job import Job
from benchmark.experiments.pictures import may_publish, remove_pictures, write_pictures
from benchmark.experiments.publish import job_results_dir, publish_baselines, publish_cells
from benchmark.experiments.runner import FailedCell, run_jobs
from benchmark.leaderboard.build import rebuild
from benchmark.phrases import format_count
from benchmark.runtime.terminal import styled
from benchmark.storage.lock import writing


def run_benchmark(
    jobs: Sequence[Job], console: Console, engine: Engine, *, tables: bool = True, pictures: bool | None = None
) -> tuple[Path, list[FailedCell]]:
    """Runs the unfinished cells, the cheapest first, then publishes the records and rebuilds the tables.

    The tables also show the finished cells of a run that continues. See :class:`benchmark.experiments.interim`.

    Args:
        jobs: The cells.
        console: Where to report.
        engine: Runs the cells.
        tables: Whether to rebuild the tables. Those of a submission are rebuilt once its records are accepted.
        pictures: Whether to publish pictures of test images. None follows the license of the data.

    Returns:
        The results directory and the cells that failed.
    """
    near_duplicates = _count_near_duplicates(jobs[0], console)
    jobs = [replace(job, near_duplicates=near_duplicates) for job in jobs]
    directory = job_results_dir(jobs[0])
    pictures = may_publish(jobs[0].data, pictures)
    interim = InterimTables(jobs, directory, console, pictures=pictures)
    failures = run_jobs(order_by_cost(jobs), console, engine, interim.update if tables else None)
    done = [job for job in jobs if job.done]
    if done:
        with writing(directory, console.print):
            _publish(done, directory, console, tables=tables, pictures=pictures)
    return directory, failures


def _count_near_duplicates(job: Job, console: Console) -> int:
    """Counts the test images that resemble training images, and warns of them, since scores may be too high."""
    with console.status("looking for near-duplicates"):
        pairs = leaks(job.data, job.pretraining)
    count = len({test for _, test in pairs})
    if pairs:
        console.print(
            styled(format_count(count, "test image looks", "test images look") + " like training images,", "yellow"),
            f"such as {pairs[0][1]} like {pairs[0][0]}; scores may be too high",
        )
    return count


def _publish(done: Sequence[Job], directory: Path, console: Console, *, tables: bool, pictures: bool) -> None:
    """Writes records, baselines and figures of finished cells, then the tables."""
    with console.status("scoring the baselines"):
        publish_cells(done, directory, console.print)
        publish_baselines(done[0], directory)
    with console.status("writing the leaderboard"):
        if pictures:
            write_pictures(done, directory)
        else:
            remove_pictures(directory)
        problems = rebuild(directory)[0].problems if tables else ()
    if problems:
        console.print(
            f"{format_count(len(problems), 'record is', 'records are')} left out of the tables: {problems[0]}"
        )
