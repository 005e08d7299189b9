"""Runs the code of entries in a child of a worker process, within limits. Results come back as bounded JSON."""

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.storage.paths import ROOT
from benchmark.submission.sandbox.limits import Limits

START_TIMEOUT = 600.0
"""Seconds that the worker may take to load torch. On a busy machine that takes minutes."""
GRACE = 60.0
"""Seconds that the worker has beyond the time limit of a task."""
MAX_LINE_BYTES = 16 * 1024**2
PASSED_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LOUPE_RUNS",
    "LOUPE_RESULTS",
    "OMP_NUM_THREADS",
    "GOMP_SPINCOUNT",
    "CUDA_VISIBLE_DEVICES",
    "TORCH_HOME",
)
"""Environment variables that reach an entry. The others may hold secrets, such as tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult:
    """Outcome of a task.

    Attributes:
        result: What the task returned. None after an error.
        error: The error in one line. Empty where the task finished.
        output: The end of what it printed.
        confined: State of "network" and "disk". Empty where the task ended before it was confined.
        seconds: Duration.
    """

    result: Any
    error: str
    output: str
    confined: dict[str, str]
    seconds: float


class Worker:
    """A process that runs the code of entries. It starts with the first task and forks a child for each."""

    def __init__(self, start: "Callable[[], subprocess.Popen[bytes]]", directory: Path) -> None:
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = directory

    def run(
        self,
        task: str,
        arguments: dict[str, Any],
        limits: Limits,
        *,
        writable: Iterable[Path] = (),
        echo: bool = False,
    ) -> TaskResult:
        """Runs a task in a child process.

        Args:
            task: One of :data:`benchmark.submission.sandbox.worker.TASKS`.
            arguments: Its keyword arguments, of types that JSON has.
            limits: Limits of the child.
            writable: Directories it may write into, in addition to its scratch directory.
            echo: Whether its output is shown at once.

        Raises:
            UserError: The worker process was ended from outside, for example by a machine out of memory.
        """
        scratch = Path(tempfile.mkdtemp(dir=self._directory))
        request = {
            "task": task,
            "arguments": arguments,
            "limits": asdict(limits),
            "scratch": str(scratch),
            "writable": [str(path) for path in writable],
            "echo": echo,
        }
        try:
            return _parse_reply(self._exchange(json.dumps(request), limits.seconds + GRACE), limits)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _exchange(self, request: str, seconds: float) -> dict[str, Any]:
        first = self._process is None
        process = self._process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise UserError("the worker has no pipes; start it with `worker()`")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)

            def read_line(timeout: float) -> bytes:
                ready = process.stdout and selector.select(timeout)
                line = process.stdout.readline(MAX_LINE_BYTES) if process.stdout and ready else b""
                if not line:
                    process.kill()
                    raise UserError("the process that runs entries was ended; is there enough memory?")
                return line

            if first:
                read_line(START_TIMEOUT)
            process.stdin.write(request.encode() + b"\n")
            process.stdin.flush()
            reply: dict[str, Any] = json.loads(read_line(seconds))
        return reply


@contextmanager
def worker(threads: int | None = None) -> Iterator[Worker]:
    """Yields a worker. Its process ends with the block.

    Args:
        threads: Number of threads of torch in each task. None leaves it to torch and the environment.
    """
    directory = Path(tempfile.mkdtemp(prefix="loupe-submission-"))
    try:
        with ExitStack() as stack:
            yield Worker(lambda: stack.enter_context(_process(directory, threads)), directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _process(directory: Path, threads: int | None) -> "Iterator[subprocess.Popen[bytes]]":
    environment = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    hub = os.environ.get("HF_HUB_CACHE", str(Path.home() / ".cache" / "huggingface" / "hub"))
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(directory),
        "HF_HUB_CACHE": hub,
    }
    environment |= {"OMP_NUM_THREADS": str(threads)} if threads else {}
    command = [sys.executable, "-m", "benchmark.submission.sandbox.worker"]
    with subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
        command, cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _parse_reply(reply: dict[str, Any], limits: Limits) -> TaskResult:
    payload = reply["payload"] if isinstance(reply["payload"], dict) else {}
    reasons = {
        "time": f"takes more than {limits.seconds:g} s; it was ended",
        "output": f"prints more than {limits.output // 1024} KB; it was ended",
        "result": "returns a result that is too large; it was ended",
        "crash": "ended without a result; it crashed, or ended its own process",
    }
    error = reasons.get(reply["ended"], "") or str(payload.get("error", ""))
    if not error and "result" not in payload:
        error = reasons["crash"]
    return TaskResult(
        result=payload.get("result") if not error else None,
        error=error,
        output=str(reply["output"]),
        confined=dict(payload.get("confined", {})),
        seconds=float(reply["seconds"]),
    )
