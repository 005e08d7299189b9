"""An engine that runs one cell after the other, in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from benchmark.errors import UserError
from benchmark.execution import EngineOptions
from benchmark.experiments.cell import run_cell
from benchmark.experiments.engine import Engine, RunObserver, run_in_order
from benchmark.experiments.job import Job
from benchmark.runtime.device import choose_device, prefers_bfloat16


@contextmanager
def start_engine(options: EngineOptions) -> Iterator[Engine]:
    """Yields an engine that runs in this process.

    Raises:
        UserError: An option needs another engine.
    """
    if options != EngineOptions():
        raise UserError("--address and --cells-per-gpu need --engine ray")
    yield Local()


class Local:
    """Runs one cell after the other."""

    def choose_device(self, name: str | None) -> torch.device:
        """Returns the device of that name. The default is the GPU if there is one, else the CPU."""
        return choose_device(name)

    def prefers_bfloat16(self, device: torch.device) -> bool:
        """Whether training in bfloat16 is faster on this machine."""
        return prefers_bfloat16(device)

    def run(self, jobs: Sequence[Job], observer: RunObserver) -> None:
        """Runs the cells in their order."""
        run_in_order(jobs, observer, run_cell)
