"""The tables of an unfinished run, which show the cells that are done."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.experiments.job import Job
from benchmark.experiments.pictures import remove_pictures
from benchmark.experiments.publish import publish_baselines, publish_cells
from benchmark.leaderboard.build import PAGE, rebuild
from benchmark.storage.lock import writing_if_free

MAX_SHARE = 0.05
"""Maximum share of the time of a run that its interim tables take, after the first ones."""


class InterimTables:
    """Publishes finished cells and rebuilds tables and page while other cells run.

    The first cell appears at once. Later tables wait until the last rebuild took at most :data:`MAX_SHARE` of the time
    since. Records and baselines do not count, since the end of the run needs them in any case. There are no figures and
    no pictures of test images before the end. The final tables are a function of the records, so interim ones do not
    change them.
    An error ends the interim tables and not the run, which publishes at its end again.

    Args:
        jobs: All cells of the run.
        directory: The results directory. If another process holds its lock, the tables wait for the next cell.
        console: Where to say where the tables are.
        pictures: Whether the run publishes pictures of test images. If not, those of earlier runs are removed.
    """

    def __init__(self, jobs: Sequence[Job], directory: Path, console: Console, *, pictures: bool) -> None:
        self._jobs, self._directory, self._console, self._pictures = jobs, directory, console, pictures
        self._unpublished: list[Job] = []
        self._cost = 0.0
        self._ended: float | None = None
        self._is_off = False

    def update(self, job: Job) -> None:
        """Adds a finished cell, and rebuilds the tables if it is time."""
        self._unpublished.append(job)
        if self._is_off or not self._is_due():
            return
        try:
            with writing_if_free(self._directory) as is_held:
                if is_held:
                    self._publish()
        except Exception as error:  # noqa: BLE001 - the cells must run, and the end of the run raises it again
            self._is_off = True
            self._console.print(f"No tables before the end of the run: {type(error).__name__}: {error}")

    def _is_due(self) -> bool:
        return self._ended is None or self._cost <= MAX_SHARE * (time.monotonic() - self._ended)

    def _publish(self) -> None:
        is_first = self._ended is None
        # Cells of an earlier start are done, too.
        jobs = [job for job in self._jobs if job.done] if is_first else self._unpublished
        publish_cells(jobs, self._directory, self._console.print)
        if not self._pictures:
            remove_pictures(self._directory)
        publish_baselines(jobs[0], self._directory)
        started = time.monotonic()
        rebuild(self._directory, draw=False)
        self._ended = time.monotonic()
        self._cost = self._ended - started
        self._unpublished = []
        if is_first:
            table, page = self._directory / "leaderboard.md", self._directory / PAGE
            self._console.print(f"First rows in {table} and {page.name}, updated as cells finish")
