"""A job or a baseline on its way to another machine: entries by name, large things by reference."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from architectures import Architecture
from benchmark.baselines.score import BaselinePart
from benchmark.config.presets import Preset
from benchmark.data.dataset import ImageDataset
from benchmark.errors import UserError
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.registry import select
from benchmark.saliency import Method
from benchmark.storage.files import new_file
from benchmark.storage.hashing import file_digest
from benchmark.storage.runs import sent_weights_file
from benchmark.training.regimes import Regime

Put = Callable[[Any], Any]
"""Lays a large thing down where all machines can get it, and returns a reference to it."""
Get = Callable[[Any], Any]
"""What a reference stands for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPayload:
    """What a worker needs to know of a job.

    Attributes:
        names: Of the architecture and the regime.
        seed: Training seed.
        preset: How.
        device: Kind of device.
        bfloat16: Whether to train in bfloat16.
        data: Reference to the :class:`ImageDataset` data.
        weights: Reference to the bytes of the file of initial weights; None where there is none.
        init_job: The job whose model the training begins with.
        log: Where else the training is written down.
        key: What the driver takes for the key of the job.
    """

    names: tuple[str, str]
    seed: int
    preset: Preset
    device: str
    bfloat16: bool
    data: Any
    weights: Any
    init_job: "JobPayload | None"
    log: str | None
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselinePayload:
    """What a worker needs to know of a part of the baselines.

    Attributes:
        baseline: The baseline that it belongs to.
        architecture: Name; None where no network is asked.
        method: Name; None likewise.
        alignment: How maps of a grid are placed.
        device: Kind of device.
        data: Reference to the :class:`ImageDataset` data.
        protocol: Of the table.
        key: What the driver takes for the key of the part.
    """

    baseline: str
    architecture: str | None
    method: str | None
    alignment: str
    device: str
    data: Any
    protocol: str
    key: str


class PayloadBuilder:
    """Makes orders; what several jobs share is laid down once."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._data: dict[str, Any] = {}
        self._weights: dict[Path, Any] = {}

    def of(self, job: Job) -> JobPayload:
        """The order for a job."""
        cell = job.cell
        return JobPayload(
            names=(cell.architecture.name, cell.regime.name),
            seed=cell.seed,
            preset=job.preset,
            device=job.device.type,
            bfloat16=job.settings.bfloat16,
            data=self._of_data(job.data),
            weights=None if job.init_job or job.weights_path is None else self._of_weights(job.weights_path),
            init_job=self.of(job.init_job) if job.init_job else None,
            log=job.log,
            key=job.key,
        )

    def of_part(self, part: BaselinePart, job: Job) -> BaselinePayload:
        """The order for a part of the baselines of the table that a job belongs to."""
        return BaselinePayload(
            baseline=part.baseline,
            architecture=part.architecture.name if part.architecture else None,
            method=part.method.name if part.method else None,
            alignment=part.alignment,
            device=job.device.type,
            data=self._of_data(job.data),
            protocol=job.protocol,
            key=part.key(job.protocol),
        )

    def _of_data(self, data: ImageDataset) -> Any:
        if data.key not in self._data:
            # A mapped file would be sent as a copy in memory; a plain view of it is sent as it lies.
            plain = replace(data, images=np.asarray(data.images), mask_arrays=np.asarray(data.mask_arrays))
            self._data[data.key] = self._put(plain)
        return self._data[data.key]

    def _of_weights(self, path: Path) -> Any:
        if path not in self._weights:
            self._weights[path] = self._put(path.read_bytes())
        return self._weights[path]


def deserialize_job(order: JobPayload, get: Get) -> Job:
    """The job on the machine that carries it out.

    Raises:
        UserError: The code here is not the code that the order comes from.
    """
    job = Job(
        cell=Cell(
            architecture=select(Architecture, order.names[:1])[0],
            regime=select(Regime, order.names[1:])[0],
            seed=order.seed,
        ),
        data=get(order.data),
        preset=order.preset,
        device=torch.device(order.device),
        init_job=deserialize_job(order.init_job, get) if order.init_job else None,
        log=order.log,
        bfloat16=order.bfloat16,
        weights_copy=None if order.weights is None else _kept_weights(get(order.weights)),
    )
    if job.key != order.key:
        raise UserError(f"{job.cell.name}: the worker's code or packages differ from the driver's; make them the same")
    return job


def part_of(order: BaselinePayload) -> BaselinePart:
    """The part of the baselines on the machine that scores it.

    Raises:
        UserError: The code here is not the code that the order comes from.
    """
    part = BaselinePart(
        baseline=order.baseline,
        architecture=select(Architecture, [order.architecture])[0] if order.architecture else None,
        method=select(Method, [order.method])[0] if order.method else None,
        alignment=order.alignment,
    )
    if part.key(order.protocol) != order.key:
        raise UserError(f"{part.baseline}: the worker's code differs from the driver's; make them the same")
    return part


def _kept_weights(content: bytes) -> Path:
    """The file of initial weights here, under a name of its content."""
    with new_file(sent_weights_file("sent")) as temporary:
        temporary.write_bytes(content)
        path = sent_weights_file(file_digest(temporary))
        with new_file(path) as kept:
            kept.write_bytes(content)
    return path
