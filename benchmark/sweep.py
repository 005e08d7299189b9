"""Many cells: here in turn."""

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmark.describe import NO_SCORE
from benchmark.errors import UserError
from benchmark.job import Job
from benchmark.pipeline import run_cell
from benchmark.record import Record, load_record
from benchmark.store import runs_folder, write_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A cell that did not come to an end.

    Attributes:
        cell: Name of the cell.
        reason: One line.
        traceback: File with the whole story.
        mendable: Whether it is the user's to mend.
    """

    cell: str
    reason: str
    traceback: Path
    mendable: bool


def sweep(jobs: Sequence[Job], console: Console) -> list[Failure]:
    """Carries out the cells that are not done, one after the other, and goes on after one that fails.

    A cell is the unit of loss: stopped at any moment, a run finds everything again that earlier cells kept.

    Args:
        jobs: What to do.
        console: Where to show progress.

    Returns:
        The cells that failed.
    """
    todo = [job for job in jobs if not job.done]
    failures: list[Failure] = []
    started = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(todo), left="")
        for number, job in enumerate(todo):

            def report(stage: str, share: float, *, place: int = number, name: str = job.cell.name) -> None:
                left = _left(started, place + share, len(todo))
                progress.update(bar, completed=place + share, description=f"{name}: {stage}", left=left)

            report("begin", 0.0)
            begun = time.perf_counter()
            try:
                record = load_record(run_cell(job, report) / "record.json")
                _traceback(job).unlink(missing_ok=True)
            except Exception as error:  # noqa: BLE001 - whatever an entry raises, the other cells go on
                failures.append(_failure(job, error))
                console.print(f"[red]failed[/] {job.cell.name}: {failures[-1].reason}")
                continue
            finally:
                progress.update(bar, completed=number + 1)
            left = _left(started, number + 1, len(todo))
            console.print(_line(number + 1, len(todo), record, time.perf_counter() - begun, left), highlight=False)
            _say_what_has_no_score(record, console)
    return failures


def _line(number: int, total: int, record: Record, seconds: float, left: str) -> str:
    f1 = record.summary.get(f"{record.methods[0]}: fuzzy-f1 (image)")
    scores = f"accuracy {record.summary['accuracy']:.2f}" + ("" if f1 is None else f", F1 {f1:.2f}")
    model = f"{record.architecture}/{record.regime}/{record.seed}"
    return f"{number:3d}/{total}  {model:36s} {seconds:4.0f} s  {scores}  {left}".rstrip()


def _say_what_has_no_score(record: Record, console: Console) -> None:
    for name, told in record.summary.items():
        if name.startswith(NO_SCORE):
            console.print(f"[yellow]{escape(name.removeprefix(NO_SCORE))} has no score[/] for {escape(told)}")


def _left(started: float, done: float, total: int) -> str:
    if done < 0.05 or done >= total:
        return ""
    seconds = (time.perf_counter() - started) / done * (total - done)
    return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


def _traceback(job: Job) -> Path:
    return runs_folder() / "failed" / f"{job.key}.txt"


def _failure(job: Job, error: Exception) -> Failure:
    path = _traceback(job)
    write_text(path, "".join(traceback.format_exception(error)))
    mendable = isinstance(error, UserError)
    reason = str(error) if mendable else f"{type(error).__name__}: {error}".split("\n")[0]
    return Failure(cell=job.cell.name, reason=reason, traceback=path, mendable=mendable)
