"""Many cells, whichever engine carries them out: one table, one bar, one list of failures."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmark.experiments.build_record import NO_SCORE
from benchmark.experiments.engine import Engine, RunFailure
from benchmark.experiments.job import Job
from benchmark.storage.files import write_text
from benchmark.storage.record import Record, load_record
from benchmark.storage.runs import failure_file


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedCell:
    """A cell that did not come to an end.

    Attributes:
        cell: Name of the cell.
        reason: One line.
        traceback: File with the whole traceback.
        is_user_error: Whether it is the user's to mend.
    """

    cell: str
    reason: str
    traceback: Path
    is_user_error: bool


def run_jobs(jobs: Sequence[Job], console: Console, engine: Engine) -> list[FailedCell]:
    """Has the cells carried out that are not done, and goes on after one that fails.

    A cell is the unit of loss: stopped at any moment, a run finds everything again that earlier cells kept.

    Args:
        jobs: What to do.
        console: Where to show progress.
        engine: Who does it.

    Returns:
        The cells that failed.
    """
    todo = [job for job in jobs if not job.done]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        watch = _ProgressDisplay(len(todo), progress)
        engine.run(todo, watch)
    return watch.failures


class _ProgressDisplay:
    """Shows how the cells get on, and writes down what failed."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.failures: list[FailedCell] = []
        self._total = total
        self._ended = 0
        self._begun: dict[str, float] = {}
        self._started = time.perf_counter()
        self._progress = progress
        self._bar = progress.add_task("", total=total, left="")

    def report(self, job: Job, stage: str, share: float) -> None:
        """Moves the bar: by the cells that have ended and the shares of those that have begun."""
        self._begun[job.cell.name] = share
        others = f" and {len(self._begun) - 1} more" if len(self._begun) > 1 else ""
        self._move(f"{job.cell.name}: {stage}{others}")

    def done(self, job: Job, seconds: float) -> None:
        """Prints the line of a cell."""
        self._end(job)
        _traceback(job).unlink(missing_ok=True)
        record = load_record(job.directory / "record.json")
        line = _line(self._ended, self._total, record, seconds, self._left())
        self._progress.console.print(line, highlight=False)
        _say_what_has_no_score(record, self._progress.console)

    def failed(self, job: Job, mishap: RunFailure) -> None:
        """Writes down what failed."""
        self._end(job)
        path = _traceback(job)
        write_text(path, mishap.traceback)
        name = job.cell.name
        self.failures.append(
            FailedCell(cell=name, reason=mishap.reason, traceback=path, is_user_error=mishap.is_user_error)
        )
        self._progress.console.print(f"[red]failed[/] {name}: {escape(mishap.reason)}")

    def _end(self, job: Job) -> None:
        self._begun.pop(job.cell.name, None)
        self._ended += 1
        self._move()

    def _move(self, description: str | None = None) -> None:
        self._progress.update(self._bar, completed=self._done, description=description, left=self._left())

    @property
    def _done(self) -> float:
        return self._ended + sum(self._begun.values())

    def _left(self) -> str:
        if self._done < 0.05 or self._done >= self._total:
            return ""
        seconds = (time.perf_counter() - self._started) / self._done * (self._total - self._done)
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


def _line(number: int, total: int, record: Record, seconds: float, left: str) -> str:
    f1 = record.summary.get(f"{record.methods[0]}: map-f1 (image)")
    scores = f"accuracy {record.summary['accuracy']:.2f}" + ("" if f1 is None else f", F1 {f1:.2f}")
    model = f"{record.architecture}/{record.regime}/{record.seed}"
    return f"{number:3d}/{total}  {model:36s} {seconds:4.0f} s  {scores}  {left}".rstrip()


def _say_what_has_no_score(record: Record, console: Console) -> None:
    for name, told in record.summary.items():
        if name.startswith(NO_SCORE):
            console.print(f"[yellow]{escape(name.removeprefix(NO_SCORE))} has no score[/] for {escape(told)}")


def _traceback(job: Job) -> Path:
    return failure_file(job.key)
