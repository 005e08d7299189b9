"""An engine for all cores or GPUs of this machine or of a cluster, by Ray (Moritz et al., 2018, arXiv 1712.05889).

One cell is one task. Nodes share no file system: Ray sends the data once, artifacts of a cell return as bytes, and each
node has its own runs directory.
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
from benchmark.execution.payload import BaselinePayload, JobPayload, PayloadBuilder, deserialize_job, deserialize_part
from benchmark.execution.progress import ProgressBoard
from benchmark.experiments.cell import cell_artifacts, run_cell
from benchmark.experiments.engine import Engine, RunFailure, RunObserver, failure_from
from benchmark.experiments.job import Job
from benchmark.registry import select
from benchmark.runtime.device import prefers_bfloat16, retain_freed_memory, use_exact_arithmetic
from benchmark.runtime.environment import CODE_VARIABLE, code_state
from benchmark.saliency import Method
from benchmark.storage.paths import ROOT
from benchmark.storage.runs import runs_dir

MAX_RETRIES = 5
"""Maximum number of restarts of a cell whose worker or node is lost."""
POLL_INTERVAL_S = 0.5
"""Seconds between two queries of the progress."""
CONNECT_TIMEOUT_S = 10.0
"""Seconds to wait for a cluster to answer."""
UPLOADED = ("architectures", "benchmark", "datasets", "metrics")
"""Directories of the checkout that a worker needs."""


@contextmanager
def start_engine(options: EngineOptions) -> Iterator[Engine]:
    """Connects to a running cluster, or starts one on this machine that ends with the block.

    Raises:
        UserError: There is no cluster at the address.
    """
    if options.address is not None:
        _check_reachable(options.address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a benchmark of patients' images sends no statistics
    variables = {CODE_VARIABLE: json.dumps(code_state()), "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "20000")}
    if options.address is None:
        variables["LOUPE_RUNS"] = str(runs_dir().resolve())
    others = sorted(f"/{path.name}" for path in ROOT.iterdir() if path.name not in UPLOADED)
    code = {"working_dir": str(ROOT), "excludes": [*others, "__pycache__"]}
    try:
        ray.init(
            options.address or "local",
            runtime_env={**code, "env_vars": variables},
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=None if options.address else False,
        )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        line = " ".join(str(error).split())
        remedy = "start one with `ray start --head`" if options.address else "see the logs of Ray"
        raise UserError(f"--engine ray: no cluster at {options.address or 'this machine'} ({line}); {remedy}") from None
    try:
        yield Cluster(options)
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Fails at once where Ray would wait for minutes. Ray itself resolves `auto` and ray:// addresses.

    Raises:
        UserError: Nothing listens at the address.
    """
    host, _, port = address.rpartition(":")
    if "://" in address or not host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError, OverflowError):
        raise UserError(f"--address {address}: nothing answers there; start one with `ray start --head`") from None


class Cluster:
    """The nodes of a Ray cluster."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options

    def choose_device(self, name: str | None) -> torch.device:
        """Returns the device of that name. The default is the GPU if any node has one, else the CPU.

        The driver itself does not need the device.

        Raises:
            UserError: No node has such a device.
        """
        resources = ray.cluster_resources()
        name = name or ("cuda" if resources.get("GPU") else "cpu")
        if not resources.get({"cuda": "GPU", "cpu": "CPU"}.get(name, "")):
            raise UserError(
                f"--device {name}: no node of the cluster has one; give cpu or cuda, or start a node with one"
            )
        return torch.device(name)

    def prefers_bfloat16(self, device: torch.device) -> bool:
        """Whether training in bfloat16 is faster on a node with this type of device."""
        return bool(ray.get(self._task(prefers_bfloat16, device).remote(device)))

    def run(self, jobs: Sequence[Job], observer: RunObserver) -> None:
        """Submits all cells at once. Ray schedules them, and restarts a cell whose worker or node is lost."""
        builder = PayloadBuilder(ray.put)
        board = ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard).remote()
        waiting = {self._task(_cell, job.device).remote(builder.build(job), board): job for job in jobs}
        parts = self._submit_baselines(jobs, builder)
        while waiting:
            ended, _ = ray.wait(list(waiting), timeout=POLL_INTERVAL_S, fetch_local=False)
            progress = _collect_progress(board)
            for job in waiting.values():
                if job.cell.name in progress:
                    observer.report(job, *progress[job.cell.name])
            for reference in ended:
                _receive_result(reference, waiting.pop(reference), observer)
        for part in parts:
            # The driver scores a baseline that is lost or fails, and reports the error.
            with suppress(RayError, OSError):
                if isinstance(outcome := ray.get(part), ArtifactBundle):
                    restore_artifacts(outcome)

    def _submit_baselines(self, jobs: Sequence[Job], builder: PayloadBuilder) -> list[Any]:
        """Submits the baselines of the jobs' table, after the cells, so that they fill idle cores at the end."""
        if not jobs:
            return []
        first = jobs[0]
        architectures = {job.cell.architecture.name: job.cell.architecture for job in jobs}
        networks = [architectures[name] for name in sorted(architectures)]
        methods = select(Method, first.preset.methods)
        parts = list_parts(networks, methods, first.preset.image_size, first.preset.alignment, first.preset.grid_stride)
        missing = [part for part in parts if not part_file(part, first.protocol).is_file()]
        task = self._task(_baseline, first.device)
        return [task.remote(builder.build_part(part, first)) for part in missing]

    def _task(self, function: Any, device: torch.device) -> Any:
        """Wraps a function as a task that takes a core and, on a GPU, a fraction of it."""
        gpu_fraction = 1 / self._options.cells_per_gpu if device.type == "cuda" else 0
        return ray.remote(num_cpus=1, num_gpus=gpu_fraction, max_retries=MAX_RETRIES)(function)


def _receive_result(reference: Any, job: Job, observer: RunObserver) -> None:
    """Stores the artifacts of a cell, or reports its failure."""
    try:
        outcome = ray.get(reference)
        if isinstance(outcome, RunFailure):
            observer.failed(job, outcome)
            return
        restore_artifacts(outcome)
    except RayError as error:
        failure = failure_from(error)
        observer.failed(job, replace(failure, reason=f"its worker was lost {MAX_RETRIES + 1} times; {failure.reason}"))
    except (UserError, OSError) as error:
        observer.failed(job, failure_from(error))
    else:
        observer.done(job, outcome.seconds)


def _collect_progress(board: Any) -> dict[str, tuple[str, float]]:
    """Collects the progress of the cells. Empty while the board is lost, since progress is only for display."""
    with suppress(RayError, GetTimeoutError):
        progress: dict[str, tuple[str, float]] = ray.get(board.collect.remote(), timeout=POLL_INTERVAL_S)
        return progress
    return {}


def _cell(payload: JobPayload, board: Any) -> ArtifactBundle | RunFailure:
    """Runs a cell on a worker. Its own errors are a result, since a retry would fail in the same way."""
    started = time.perf_counter()
    try:
        _configure_worker()
        job = deserialize_job(payload, ray.get)
        run_cell(job, lambda stage, fraction: board.post.remote(job.cell.name, stage, fraction))
        return collect_artifacts(cell_artifacts(job), time.perf_counter() - started)
    except Exception as error:  # noqa: BLE001 - an entry may raise anything, and the other cells go on
        return failure_from(error)


def _baseline(payload: BaselinePayload) -> ArtifactBundle | RunFailure:
    """Scores a part of the baselines on a worker."""
    started = time.perf_counter()
    try:
        _configure_worker()
        path = score_baseline(
            deserialize_part(payload), ray.get(payload.data), torch.device(payload.device), payload.protocol
        )
        return collect_artifacts([path], time.perf_counter() - started)
    except Exception as error:  # noqa: BLE001 - an entry may raise anything, and the other baselines go on
        return failure_from(error)


def _configure_worker() -> None:
    """Sets up a worker so that it computes the same numbers as the driver."""
    if not os.environ.get("LOUPE_RUNS"):
        os.environ["LOUPE_RUNS"] = str(_private_runs_dir())
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    use_exact_arithmetic()
    retain_freed_memory()


def _private_runs_dir() -> Path:
    """Creates the runs directory of a node without LOUPE_RUNS. Only its owner may write there.

    Raises:
        UserError: The directory belongs to another user.
    """
    directory = Path(tempfile.gettempdir()) / f"loupe-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise UserError(f"{directory} belongs to another user; set LOUPE_RUNS where the node is started")
    return directory
