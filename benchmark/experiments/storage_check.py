"""Checks before a run that its results can be stored."""

import shutil
from collections.abc import Sequence

from benchmark.errors import UserError
from benchmark.experiments.estimate import forecast
from benchmark.experiments.job import Job
from benchmark.experiments.publish import job_results_dir
from benchmark.storage.files import nearest_directory, require_writable
from benchmark.storage.runs import runs_dir


def check_storage(jobs: Sequence[Job]) -> None:
    """Checks that the directories of a run are writable and have enough free space.

    Raises:
        UserError: One of them is not.
    """
    require_writable(runs_dir(), "LOUPE_RUNS")
    require_writable(job_results_dir(jobs[0]), "LOUPE_RESULTS")
    needed, free = forecast(jobs).bytes, shutil.disk_usage(nearest_directory(runs_dir())).free
    if needed > free:
        raise UserError(
            f"{runs_dir()} has {free / 1e6:.0f} MB free, the run needs about {needed / 1e6:.0f} MB; "
            "free some, or choose another directory with LOUPE_RUNS"
        )
