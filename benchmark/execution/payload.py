"""Serialized jobs and baselines for other machines: entries by name, large objects by reference."""

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
from benchmark.storage.cache import cached_file
from benchmark.storage.files import atomic_file
from benchmark.storage.hashing import file_digest
from benchmark.storage.runs import sent_weights_file
from benchmark.training.regimes import Regime

Put = Callable[[Any], Any]
"""Stores a large object for all machines and returns a reference to it."""
Get = Callable[[Any], Any]
"""Returns the object of a reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPayload:
    """The information about a job that a worker needs.

    Attributes:
        names: Names of the architecture and the regime.
        seed: Training seed.
        variant: Label of the row.
        preset: Settings.
        device: Type of device.
        bfloat16: Whether to train in bfloat16.
        data: Reference to the :class:`ImageDataset` data.
        weights: Reference to the bytes of the file of initial weights. None without a file.
        init_job: The job whose model initializes the training.
        log: Type of training log.
        near_duplicates: Number of test images that look like training images.
        options: Options of the command that select data, split and device.
        key: Key of the job as the driver computes it.
    """

    names: tuple[str, str]
    seed: int
    variant: str
    preset: Preset
    device: str
    bfloat16: bool
    data: Any
    weights: Any
    init_job: "JobPayload | None"
    log: str | None
    near_duplicates: int | None
    options: tuple[str, ...]
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselinePayload:
    """The information about a part of the baselines that a worker needs.

    Attributes:
        baseline: Name of the baseline.
        architecture: Name of the architecture. None if the baseline needs no network.
        method: Name of the saliency method. None if the baseline needs none.
        alignment: How to place maps of a grid.
        device: Type of device.
        data: Reference to the :class:`ImageDataset` data.
        protocol: Protocol of the table.
        key: Key of the part as the driver computes it.
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
    """Builds payloads. Objects that several jobs share are stored once."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._data: dict[str, Any] = {}
        self._weights: dict[Path, Any] = {}

    def build(self, job: Job) -> JobPayload:
        """Builds the payload of a job."""
        cell = job.cell
        return JobPayload(
            names=(cell.architecture.name, cell.regime.name),
            seed=cell.seed,
            variant=cell.variant,
            preset=job.preset,
            device=job.device.type,
            bfloat16=job.settings.bfloat16,
            data=self._put_data(job.data),
            weights=None if job.init_job or job.weights_path is None else self._put_weights(job.weights_path),
            init_job=self.build(job.init_job) if job.init_job else None,
            log=job.log,
            near_duplicates=job.near_duplicates,
            options=job.options,
            key=job.key,
        )

    def build_part(self, part: BaselinePart, job: Job) -> BaselinePayload:
        """Builds the payload of a part of the baselines, for the table of a job."""
        return BaselinePayload(
            baseline=part.baseline,
            architecture=part.architecture.name if part.architecture else None,
            method=part.method.name if part.method else None,
            alignment=part.alignment,
            device=job.device.type,
            data=self._put_data(job.data),
            protocol=job.protocol,
            key=part.key(job.protocol),
        )

    def _put_data(self, data: ImageDataset) -> Any:
        if data.key not in self._data:
            # Pickle copies a memory-mapped array in memory. It sends a plain view without a copy.
            plain = replace(data, images=np.asarray(data.images), mask_arrays=np.asarray(data.mask_arrays))
            self._data[data.key] = self._put(plain)
        return self._data[data.key]

    def _put_weights(self, path: Path) -> Any:
        if path not in self._weights:
            self._weights[path] = self._put(path.read_bytes())
        return self._weights[path]


def deserialize_job(payload: JobPayload, get: Get) -> Job:
    """Restores a job on a worker.

    Raises:
        UserError: The worker's code differs from the driver's.
    """
    job = Job(
        cell=Cell(
            architecture=select(Architecture, payload.names[:1])[0],
            regime=select(Regime, payload.names[1:])[0],
            seed=payload.seed,
            variant=payload.variant,
        ),
        data=get(payload.data),
        preset=payload.preset,
        device=torch.device(payload.device),
        init_job=deserialize_job(payload.init_job, get) if payload.init_job else None,
        log=payload.log,
        near_duplicates=payload.near_duplicates,
        options=payload.options,
        bfloat16=payload.bfloat16,
        weights_copy=None if payload.weights is None else _store_weights(get(payload.weights)),
    )
    if job.key != payload.key:
        raise UserError(f"{job.cell.name}: the worker's code or packages differ from the driver's; make them the same")
    return job


def deserialize_part(payload: BaselinePayload) -> BaselinePart:
    """Restores a part of the baselines on a worker.

    Raises:
        UserError: The worker's code differs from the driver's.
    """
    part = BaselinePart(
        baseline=payload.baseline,
        architecture=select(Architecture, [payload.architecture])[0] if payload.architecture else None,
        method=select(Method, [payload.method])[0] if payload.method else None,
        alignment=payload.alignment,
    )
    if part.key(payload.protocol) != payload.key:
        raise UserError(f"{part.baseline}: the worker's code differs from the driver's; make them the same")
    return part


def _store_weights(content: bytes) -> Path:
    """Stores initial weights in a file, by their hash."""
    with atomic_file(sent_weights_file("sent")) as temporary:
        temporary.write_bytes(content)
        path = sent_weights_file(file_digest(temporary))
        with cached_file(path) as copy:
            copy.write_bytes(content)
    return path
