"""The interface of a host: where a network runs whose code must not run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import nn

if TYPE_CHECKING:
    from benchmark.experiments.job import Job
    from benchmark.storage.record import Training


class Host(Protocol):
    """Trains and runs the networks of one architecture elsewhere."""

    @property
    def unconfined(self) -> bool:
        """Whether the code runs without a box, since the user trusts it."""

    def train(self, job: "Job", start: Path | None, target: Path, report: Callable[[str, float], None]) -> "Training":
        """Trains the network of a job.

        Args:
            job: The cell. Only its training and validation images leave this process.
            start: Weights of an earlier stage. None starts from the initial weights of the job.
            target: The safetensors file to write.
            report: Receives the progress.
        """

    def load(self, job: "Job", weights: Path) -> nn.Module:
        """Returns a trained network in evaluation mode. It answers until the next one is loaded."""
