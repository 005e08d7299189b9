"""What carries out cells, and what it reports; the engines themselves lie in `benchmark.execution`."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmark.errors import UserError

if TYPE_CHECKING:  # the command line looks in here before it knows whether torch is needed
    import torch

    from benchmark.experiments.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFailure:
    """Why a cell did not come to an end.

    Attributes:
        reason: One line.
        traceback: The traceback, as text.
        is_user_error: Whether it is the user's to mend.
    """

    reason: str
    traceback: str
    is_user_error: bool = False


def failure_from(error: Exception) -> RunFailure:
    """What there is to say of an error that ended a cell."""
    is_user_error = isinstance(error, UserError)
    reason = str(error) if is_user_error else f"{type(error).__name__}: {error}".split("\n")[0]
    return RunFailure(reason=reason, traceback="".join(traceback.format_exception(error)), is_user_error=is_user_error)


class RunObserver(Protocol):
    """Is told how the cells get on."""

    def report(self, job: "Job", stage: str, share: float) -> None:
        """A cell has come to a stage; the share of it that is done is in [0, 1]."""

    def done(self, job: "Job", seconds: float) -> None:
        """The outcome of a cell lies in its directory; it took so long."""

    def failed(self, job: "Job", mishap: RunFailure) -> None:
        """A cell did not come to an end."""


class Engine(Protocol):
    """Carries out cells."""

    def choose_device(self, name: str | None) -> "torch.device":
        """The device of that name where the cells will run, or the GPU if there is one, else the CPU.

        Raises:
            UserError: There is no such device.
        """

    def prefers_bfloat16(self, device: "torch.device") -> bool:
        """Whether training in bfloat16 is faster than in float32 where the cells will run."""

    def run(self, jobs: Sequence["Job"], watch: RunObserver) -> None:
        """Carries out all cells, and goes on after one that fails."""
