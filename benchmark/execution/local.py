"""Cells in turn, in this process."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from benchmark.errors import UserError
from benchmark.execution import EngineOptions
from benchmark.experiments.cell import run_cell
from benchmark.experiments.engine import Engine, RunObserver, failure_from
from benchmark.experiments.job import Job
from benchmark.runtime.device import choose_device, prefers_bfloat16


@contextmanager
def start_engine(place: EngineOptions) -> Iterator[Engine]:
    """This process.

    Raises:
        UserError: An option asks for what one process cannot do.
    """
    if place != EngineOptions():
        raise UserError("--address and --cells-per-gpu go with --engine ray")
    yield Local()


class Local:
    """One cell after the other."""

    def choose_device(self, name: str | None) -> torch.device:
        """The device of that name here, or the GPU if there is one, else the CPU."""
        return choose_device(name)

    def prefers_bfloat16(self, device: torch.device) -> bool:
        """Whether training in bfloat16 is faster here."""
        return prefers_bfloat16(device)

    def run(self, jobs: Sequence[Job], watch: RunObserver) -> None:
        """Carries out the cells in their order."""
        for job in jobs:
            watch.report(job, "begin", 0.0)
            begun = time.perf_counter()
            try:
                run_cell(job, partial(watch.report, job))
            except Exception as error:  # noqa: BLE001 - whatever an entry raises, the other cells go on
                watch.failed(job, failure_from(error))
            else:
                watch.done(job, time.perf_counter() - begun)
