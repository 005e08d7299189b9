"""Runs cells on any engine, with a progress bar and a list of failures."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TimeElapsedColumn
from rich.text import Text

from benchmark.experiments.build_record import NO_SCORE
from benchmark.experiments.engine import Engine, RunFailure, RunObserver
from benchmark.experiments.job import Job
from benchmark.runtime.terminal import styled, text_column
from benchmark.storage.files import write_text
from benchmark.storage.record import load_record
from benchmark.storage.runs import failure_file


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedCell:
    """A failed cell.

    Attributes:
        cell: Name of the cell.
        reason: One line.
        traceback: File with the whole traceback.
        is_user_error: Whether the user can fix it.
    """

    cell: str
    reason: str
    traceback: Path
    is_user_error: bool


def run_jobs(
    jobs: Sequence[Job], console: Console, engine: Engine, after_cell: Callable[[Job], None] | None = None
) -> list[FailedCell]:
    """Runs the unfinished cells, and continues after a failure.

    An interrupted run loses at most its current cells. The next run loads the results of the others.

    Args:
        jobs: The cells.
        console: Shows the progress.
        engine: Runs the cells.
        after_cell: Called after each finished cell but the last one.

    Returns:
        The failed cells.
    """
    return show_progress([job for job in jobs if not job.done], console, engine.run, _describe_cell, after_cell)


def show_progress(
    todo: Sequence[Job],
    console: Console,
    run: Callable[[Sequence[Job], RunObserver], None],
    describe: Callable[[Job], Sequence[RenderableType]],
    after_job: Callable[[Job], None] | None = None,
) -> list[FailedCell]:
    """Runs jobs under a progress bar.

    Args:
        todo: The jobs.
        console: Shows the progress.
        run: Runs the jobs.
        describe: Lines about a finished job. The first one follows its name and time.
        after_job: Called after each finished job but the last one.

    Returns:
        The failed cells.
    """
    columns = (text_column("{task.description}"), BarColumn(), text_column("{task.fields[left]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        display = _ProgressDisplay(len(todo), progress, describe, after_job)
        run(todo, display)
    return display.failures


class _ProgressDisplay:
    """Shows the progress of the cells and stores failures."""

    def __init__(
        self,
        total: int,
        progress: Progress,
        describe: Callable[[Job], Sequence[RenderableType]],
        after_job: Callable[[Job], None] | None,
    ) -> None:
        self.failures: list[FailedCell] = []
        self._total = total
        self._describe = describe
        self._after_job = after_job
        self._num_ended = 0
        self._fractions: dict[str, float] = {}
        self._started = time.perf_counter()
        self._progress = progress
        self._bar = progress.add_task("", total=total, left="")

    def report(self, job: Job, stage: str, fraction: float) -> None:
        """Advances the bar by the finished cells and the fractions of the running ones."""
        self._fractions[job.cell.name] = fraction
        others = f" and {len(self._fractions) - 1} more" if len(self._fractions) > 1 else ""
        self._move(f"{job.cell.name}: {stage}{others}")

    def done(self, job: Job, seconds: float) -> None:
        """Prints one line about a finished cell."""
        self._end(job)
        _traceback(job).unlink(missing_ok=True)
        first, *others = self._describe(job)
        line = f"{self._num_ended:3d}/{self._total}  {job.cell.name:36s} {seconds:4.0f} s  {first}  {self._left()}"
        for text in (line.rstrip(), *others):
            self._progress.console.print(text)
        if self._after_job and self._num_ended < self._total:
            self._move("updating the tables")
            self._after_job(job)

    def failed(self, job: Job, failure: RunFailure) -> None:
        """Stores the traceback of a failed cell."""
        self._end(job)
        path = _traceback(job)
        write_text(path, failure.traceback)
        name = job.cell.name
        self.failures.append(
            FailedCell(cell=name, reason=failure.reason, traceback=path, is_user_error=failure.is_user_error)
        )
        self._progress.console.print(styled("failed", "red"), f"{name}: {failure.reason}")

    def _end(self, job: Job) -> None:
        self._fractions.pop(job.cell.name, None)
        self._num_ended += 1
        self._move()

    def _move(self, description: str | None = None) -> None:
        self._progress.update(self._bar, completed=self._done, description=description, left=self._left())

    @property
    def _done(self) -> float:
        return self._num_ended + sum(self._fractions.values())

    def _left(self) -> str:
        if self._done < 0.05 or self._done >= self._total:
            return ""
        seconds = (time.perf_counter() - self._started) / self._done * (self._total - self._done)
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


def _describe_cell(job: Job) -> list[RenderableType]:
    """Returns the main scores of a finished cell, and a line for each metric without a score."""
    record = load_record(job.directory / "record.json")
    f1 = record.summary.get(f"{record.methods[0]}: map-f1 (image)")
    scores = f"accuracy {record.summary['accuracy']:.2f}" + ("" if f1 is None else f", map F1 {f1:.2f}")
    missing = [name for name in record.summary if name.startswith(NO_SCORE)]
    return [scores, *(_describe_missing(name.removeprefix(NO_SCORE), record.summary[name]) for name in missing)]


def _describe_missing(metric: str, reason: str) -> Text:
    return styled(f"{metric} has no score", "yellow") + styled(f" for {reason}")


def _traceback(job: Job) -> Path:
    return failure_file(job.key)
