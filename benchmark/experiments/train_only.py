"""Trains the models of a run and stops. A later run explains and scores them."""

from collections.abc import Sequence

from rich.console import Console

from benchmark.experiments.engine import RunObserver, run_in_order
from benchmark.experiments.job import Job
from benchmark.experiments.runner import FailedCell, show_progress
from benchmark.experiments.trained_model import job_model_dir, load_history, train_or_load


def train_models(jobs: Sequence[Job], console: Console) -> list[FailedCell]:
    """Trains the missing models of the jobs, one after the other, and continues after a failure.

    An interrupted training resumes from its last stored epoch.

    Args:
        jobs: The cells, on a device of this process.
        console: Shows the progress and a line for each model.

    Returns:
        The failed cells.
    """
    todo = [job for job in jobs if not job_model_dir(job).is_dir()]
    return show_progress(todo, console, _train, _describe)


def _train(jobs: Sequence[Job], observer: RunObserver) -> None:
    run_in_order(jobs, observer, train_or_load)


def _describe(job: Job) -> list[str]:
    training = load_history(job_model_dir(job))
    return [f"epoch {training.best} of {len(training.losses)}" if training.losses else "not trained"]
