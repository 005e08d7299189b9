"""Running what others wrote: in a child of a worker process, within limits, with results as bounded JSON."""

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

START = 600.0
"""Seconds that the worker may take to load torch; on a busy machine it is minutes."""
GRACE = 60.0
"""Seconds that the worker has beyond the limit of a task."""
LONGEST = 16 * 1024**2
PASSED_ON = (
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
"""Nothing else of the environment reaches an entry: there may be tokens in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult:
    """What became of a task.

    Attributes:
        found: Its result; None where it was refused.
        refused: One line that says why; empty where it came to an end.
        output: The last of what it printed.
        confined: What held: "network" and "disk"; empty where it did not come so far.
        seconds: How long it took.
    """

    found: Any
    refused: str
    output: str
    confined: dict[str, str]
    seconds: float


class Worker:
    """A process that runs the code of entries, started by the first task. Each task gets a child of its own in it."""

    def __init__(self, start: "Callable[[], subprocess.Popen[bytes]]", directory: Path) -> None:
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = directory

    def ask(
        self,
        task: str,
        given: dict[str, Any],
        limits: Limits,
        *,
        writable: Iterable[Path] = (),
        echo: bool = False,
    ) -> TaskResult:
        """Has a task carried out.

        Args:
            task: One of :data:`benchmark.submission.sandbox.worker.TASKS`.
            given: Its arguments, as JSON can say them.
            limits: What it may take.
            writable: Directories it may write into, besides its scratch directory.
            echo: Whether what it prints is shown at once.

        Raises:
            UserError: The worker itself was ended, as by a machine out of memory.
        """
        scratch = Path(tempfile.mkdtemp(dir=self._folder))
        request = {
            "task": task,
            "given": given,
            "limits": asdict(limits),
            "scratch": str(scratch),
            "writable": [str(path) for path in writable],
            "echo": echo,
        }
        try:
            return _outcome(self._exchange(json.dumps(request), limits.seconds + GRACE), limits)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _exchange(self, request: str, seconds: float) -> dict[str, Any]:
        first = self._process is None
        process = self._process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise UserError("the worker has no pipes; start it with `worker()`")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)

            def line(within: float) -> bytes:
                found = process.stdout.readline(LONGEST) if process.stdout and selector.select(within) else b""
                if not found:
                    process.kill()
                    raise UserError("the process that runs entries was ended; is there enough memory?")
                return found

            if first:
                line(START)
            process.stdin.write(request.encode() + b"\n")
            process.stdin.flush()
            told: dict[str, Any] = json.loads(line(seconds))
        return told


@contextmanager
def worker(threads: int | None = None) -> Iterator[Worker]:
    """A worker until the block ends.

    Args:
        threads: So many threads of torch each task has; None leaves that to torch and the environment.
    """
    directory = Path(tempfile.mkdtemp(prefix="loupe-submission-"))
    try:
        with ExitStack() as stack:
            yield Worker(lambda: stack.enter_context(_process(directory, threads)), directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _process(directory: Path, threads: int | None) -> "Iterator[subprocess.Popen[bytes]]":
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
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


def _outcome(told: dict[str, Any], limits: Limits) -> TaskResult:
    reply = told["reply"] if isinstance(told["reply"], dict) else {}
    reasons = {
        "time": f"takes more than {limits.seconds:g} s; it was ended",
        "output": f"prints more than {limits.output // 1024} KB; it was ended",
        "result": "sends more than a result can be; it was ended",
        "crash": "ended without a result; it crashed, or ended its own process",
    }
    refused = reasons.get(told["ended"], "") or str(reply.get("refused", ""))
    if not refused and "found" not in reply:
        refused = reasons["crash"]
    return TaskResult(
        found=reply.get("found") if not refused else None,
        refused=refused,
        output=str(told["output"]),
        confined=dict(reply.get("confined", {})),
        seconds=float(told["seconds"]),
    )
