"""The interface of engines, which run cells. The engines themselves are in `benchmark.execution`."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from benchmark.errors import UserError

if TYPE_CHECKING:  # the command line imports this module before it knows whether it needs torch
    import torch

    from benchmark.experiments.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFailure:
    """The reason why a cell failed.

    Attributes:
        reason: One line.
        traceback: The traceback, as text.
        is_user_error: Whether the user can fix it.
    """

    reason: str
    traceback: str
    is_user_error: bool = False


def failure_from(error: Exception) -> RunFailure:
    """Builds the failure of a cell from its error."""
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        reason = "memory is short; use a smaller --image-size or --batch-size, or end other programs"
        return RunFailure(reason=reason, traceback="".join(traceback.format_exception(error)), is_user_error=True)
    is_user_error = isinstance(error, UserError)
    reason = str(error) if is_user_error else f"{type(error).__name__}: {error}".split("\n")[0]
    return RunFailure(reason=reason, traceback="".join(traceback.format_exception(error)), is_user_error=is_user_error)


class RunObserver(Protocol):
    """Receives the progress and the results of cells."""

    def report(self, job: "Job", stage: str, fraction: float) -> None:
        """A cell enters a stage. The finished fraction of the cell is in [0, 1]."""

    def done(self, job: "Job", seconds: float) -> None:
        """A cell is finished, with its results in its directory, after this time."""

    def failed(self, job: "Job", failure: RunFailure) -> None:
        """A cell failed."""


def run_in_order(
    jobs: Sequence["Job"], observer: RunObserver, work: Callable[["Job", Callable[[str, float], None]], object]
) -> None:
    """Does the work of each job in this process, and continues after a failure."""
    for job in jobs:
        observer.report(job, "begin", 0.0)
        started = time.perf_counter()
        try:
            work(job, partial(observer.report, job))
        except Exception as error:  # noqa: BLE001 - an entry may raise anything, and the other jobs must run
            observer.failed(job, failure_from(error))
        else:
            observer.done(job, time.perf_counter() - started)


class Engine(Protocol):
    """Runs cells."""

    def choose_device(self, name: str | None) -> "torch.device":
        """Returns the device of that name where the cells run. The default is the GPU if there is one, else the CPU.

        Raises:
            UserError: There is no such device.
        """

    def prefers_bfloat16(self, device: "torch.device") -> bool:
        """Whether training in bfloat16 is faster than in float32 where the cells run."""

    def run(self, jobs: Sequence["Job"], observer: RunObserver) -> None:
        """Runs all cells, and continues after a failure."""
