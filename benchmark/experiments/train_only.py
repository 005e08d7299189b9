"""Trains the models of a run and stops. A later run explains and scores them."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmark.experiments.engine import RunFailure, failure_from
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import job_model_dir, train_or_load


def train_models(jobs: Sequence[Job], console: Console) -> dict[str, RunFailure]:
    """Trains the missing models of the jobs, one after the other, and continues after a failure.

    An interrupted training resumes from its last stored epoch.

    Args:
        jobs: The cells, on a device of this process.
        console: Shows the progress and a line for each model.

    Returns:
        The failures, by the name of the cell.
    """
    failures = {}
    todo = [job for job in jobs if not job_model_dir(job).is_dir()]
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("", total=len(todo))
        for done, job in enumerate(todo):
            started, name = time.perf_counter(), job.cell.name

            def report(stage: str, fraction: float, done: int = done, name: str = name) -> None:
                bars.update(bar, completed=done + fraction, description=f"{name}: {stage}")

            try:
                _, training = train_or_load(job, report)
            except Exception as error:  # noqa: BLE001 - an entry may raise anything, and the other models go on
                failures[name] = failure_from(error)
                console.print(f"[red]failed[/] {name}: {escape(failures[name].reason)}", highlight=False)
                continue
            history = f"epoch {training.best} of {len(training.losses)}" if training.losses else "not trained"
            seconds = time.perf_counter() - started
            console.print(f"{done + 1:3d}/{len(todo)}  {name:36s} {seconds:5.0f} s  {history}", highlight=False)
    return failures
