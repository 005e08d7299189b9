"""Cells on all cores or GPUs of this machine, or of a cluster, by Ray (Moritz et al., 2018, arXiv 1712.05889).

One cell is one task. Nothing is shared but what Ray carries: the data goes out once, what a cell leaves behind comes
back as bytes, and each node works in a directory of its own.
"""

import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import GetTimeoutError, RayError

from benchmark.baselines.score import list_parts, part_file, score_baseline
from benchmark.errors import UserError
from benchmark.execution import EngineOptions
from benchmark.execution.artifacts import ArtifactBundle, collect_artifacts, restore_artifacts
from benchmark.execution.payload import BaselinePayload, JobPayload, PayloadBuilder, deserialize_job, part_of
from benchmark.execution.progress import ProgressBoard
from benchmark.experiments.cell import cell_artifacts, run_cell
from benchmark.experiments.engine import Engine, RunFailure, RunObserver, failure_from
from benchmark.experiments.job import Job
from benchmark.registry import select
from benchmark.runtime.device import bfloat16_pays, keep_freed_memory, use_exact_arithmetic
from benchmark.runtime.environment import CODE, code_state
from benchmark.saliency import Method
from benchmark.storage.paths import ROOT
from benchmark.storage.runs import runs_dir

RETRIES = 5
"""How often a cell begins again whose worker or node was lost."""
PAUSE = 0.5
"""Seconds between two looks at how the cells get on."""
KNOCK = 10.0
"""Seconds to wait for a cluster to answer."""
SENT = ("architectures", "benchmark", "datasets", "metrics")
"""What of the checkout a worker needs."""


@contextmanager
def start_engine(place: EngineOptions) -> Iterator[Engine]:
    """A cluster that runs, or one of this machine alone that ends with the block.

    Raises:
        UserError: There is no cluster at the address.
    """
    if place.address is not None:
        _knock(place.address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a benchmark of patients' images calls nobody
    variables = {CODE: json.dumps(code_state()), "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "20000")}
    if place.address is None:
        variables["LOUPE_RUNS"] = str(runs_dir().resolve())
    others = sorted(f"/{path.name}" for path in ROOT.iterdir() if path.name not in SENT)
    code = {"working_dir": str(ROOT), "excludes": [*others, "__pycache__"]}
    try:
        ray.init(
            place.address or "local",
            runtime_env={**code, "env_vars": variables},
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=None if place.address else False,
        )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        line = " ".join(str(error).split())
        remedy = "start one with `ray start --head`" if place.address else "see the logs of Ray"
        raise UserError(f"--engine ray: no cluster at {place.address or 'this machine'} ({line}); {remedy}") from None
    try:
        yield Cluster(place)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Refuses at once what Ray would wait for in vain for minutes; `auto` and ray:// it looks up by itself.

    Raises:
        UserError: Nobody answers there.
    """
    host, _, port = address.rpartition(":")
    if "://" in address or not host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK).close()
    except (OSError, ValueError, OverflowError):
        raise UserError(f"--address {address}: nobody answers there; start one with `ray start --head`") from None


class Cluster:
    """The nodes that Ray knows."""

    def __init__(self, place: EngineOptions) -> None:
        self._place = place

    def choose_device(self, name: str | None) -> torch.device:
        """The GPU if any node has one, else the CPU, unless told otherwise; this machine needs neither.

        Raises:
            UserError: No node has such a device.
        """
        known = ray.cluster_resources()
        name = name or ("cuda" if known.get("GPU") else "cpu")
        if not known.get({"cuda": "GPU", "cpu": "CPU"}.get(name, "")):
            raise UserError(f"--device {name}: no node of the cluster has one; give cpu or cuda, or start such a node")
        return torch.device(name)

    def bfloat16_pays(self, device: torch.device) -> bool:
        """What a node of the kind that will do the work says."""
        return bool(ray.get(self._task(bfloat16_pays, device).remote(device)))

    def carry_out(self, jobs: Sequence[Job], watch: RunObserver) -> None:
        """Hands out all cells at once; Ray places them, and places those anew whose worker or node is lost."""
        orders = PayloadBuilder(ray.put)
        notices = ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard).remote()
        waiting = {self._task(_cell, job.device).remote(orders.of(job), notices): job for job in jobs}
        parts = self._begin_baselines(jobs, orders)
        while waiting:
            ended, _ = ray.wait(list(waiting), timeout=PAUSE, fetch_local=False)
            told = _read(notices)
            for job in waiting.values():
                if job.cell.name in told:
                    watch.report(job, *told[job.cell.name])
            for reference in ended:
                _receive(reference, waiting.pop(reference), watch)
        for part in parts:
            # One that is lost, or fails, is scored by the driver, which says why it cannot be.
            with suppress(RayError, OSError):
                if isinstance(outcome := ray.get(part), ArtifactBundle):
                    restore_artifacts(outcome)

    def _begin_baselines(self, jobs: Sequence[Job], orders: PayloadBuilder) -> list[Any]:
        """Hands out the baselines of the jobs' table; behind the cells, so that they fill the gaps of the end."""
        if not jobs:
            return []
        first = jobs[0]
        architectures = {job.cell.architecture.name: job.cell.architecture for job in jobs}
        chosen, methods = [architectures[name] for name in sorted(architectures)], select(Method, first.preset.methods)
        parts = list_parts(chosen, methods, first.preset.image_size, first.preset.alignment)
        missing = [part for part in parts if not part_file(part, first.protocol).is_file()]
        task = self._task(_baseline, first.device)
        return [task.remote(orders.of_part(part, first)) for part in missing]

    def _task(self, function: Any, device: torch.device) -> Any:
        """A function as a task that takes a core and, on a GPU, its share of one."""
        share = 1 / self._place.cells_per_gpu if device.type == "cuda" else 0
        return ray.remote(num_cpus=1, num_gpus=share, max_retries=RETRIES)(function)


def _receive(reference: Any, job: Job, watch: RunObserver) -> None:
    """Keeps what has arrived of a cell, or says why nothing has."""
    try:
        outcome = ray.get(reference)
        if isinstance(outcome, RunFailure):
            watch.failed(job, outcome)
            return
        restore_artifacts(outcome)
    except RayError as error:
        mishap = failure_from(error)
        watch.failed(job, replace(mishap, reason=f"its worker was lost {RETRIES + 1} times; {mishap.reason}"))
    except (UserError, OSError) as error:
        watch.failed(job, failure_from(error))
    else:
        watch.done(job, outcome.seconds)


def _read(notices: Any) -> dict[str, tuple[str, float]]:
    """The news of the cells; none while the node is lost that has the notices: they are for the eye alone."""
    with suppress(RayError, GetTimeoutError):
        told: dict[str, tuple[str, float]] = ray.get(notices.take.remote(), timeout=PAUSE)
        return told
    return {}


def _cell(order: JobPayload, notices: Any) -> ArtifactBundle | RunFailure:
    """Carries out a cell; runs on a worker. Its own errors are an outcome: to try again would end alike."""
    begun = time.perf_counter()
    try:
        _settle()
        job = deserialize_job(order, ray.get)
        run_cell(job, lambda stage, share: notices.pin.remote(job.cell.name, stage, share))
        return collect_artifacts(cell_artifacts(job), time.perf_counter() - begun)
    except Exception as error:  # noqa: BLE001 - whatever an entry raises, the other cells go on
        return failure_from(error)


def _baseline(order: BaselinePayload) -> ArtifactBundle | RunFailure:
    """Scores a part of the baselines; runs on a worker."""
    begun = time.perf_counter()
    try:
        _settle()
        path = score_baseline(part_of(order), ray.get(order.data), torch.device(order.device), order.protocol)
        return collect_artifacts([path], time.perf_counter() - begun)
    except Exception as error:  # noqa: BLE001 - whatever an entry raises, the other baselines go on
        return failure_from(error)


def _settle() -> None:
    """Makes a worker compute as the driver would."""
    if "LOUPE_RUNS" not in os.environ:
        os.environ["LOUPE_RUNS"] = str(_working_folder())
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    use_exact_arithmetic()
    keep_freed_memory()


def _working_folder() -> Path:
    """Where a node keeps its runs if LOUPE_RUNS was not set when it was started; nobody else may write there.

    Raises:
        UserError: The directory is somebody else's.
    """
    directory = Path(tempfile.gettempdir()) / f"loupe-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise UserError(f"{directory} is another user's; set LOUPE_RUNS where the node is started")
    return directory
