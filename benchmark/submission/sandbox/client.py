"""Runs the code of entries in a child of a worker process, in a box. Answers are parsed by a strict schema."""

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
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.errors import UserError
from benchmark.runtime.environment import CODE_VARIABLE, code_state
from benchmark.storage.paths import ROOT
from benchmark.submission.sandbox.limits import GIGABYTE, Limits
from benchmark.submission.sandbox.replies import Reply, Text, make_printable

START_TIMEOUT = 600.0
"""Seconds that the worker may take to load torch. On a busy machine that takes minutes."""
GRACE = 60.0
"""Seconds that the worker has beyond the time limit of a task."""
MAX_LINE_BYTES = 32 * 1024**2
NOT_RUN = "not run: this system cannot confine it ({}); --trust runs it with all your rights"
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


R = TypeVar("R", bound=Reply)


class _Outcome(BaseModel, Generic[R]):
    """What the child of a task sends: a result or an error."""

    model_config = ConfigDict(extra="forbid", strict=True)

    result: R | None = None
    error: Text = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult(Generic[R]):
    """Outcome of a task.

    Attributes:
        result: What the task answered. None after an error.
        error: The error in one line. Empty where the task finished.
        output: The end of what it printed.
        unconfined: Why this system could not confine it. Empty where it ran in a box.
        seconds: Duration.
    """

    result: R | None
    error: str
    output: str = ""
    unconfined: str = ""
    seconds: float = 0.0


class WorkerEnded(UserError):  # noqa: N818 - the caller goes on with another one
    """The worker process was ended from outside, for example by a machine out of memory."""

    def __init__(self) -> None:
        super().__init__("the process that runs entries was ended; is there enough memory?")


class Worker:
    """A process that runs the code of entries. It starts with the first task and forks a child for each.

    If the process dies, the task fails, and the next one starts another process.
    """

    def __init__(self, start: "Callable[[], subprocess.Popen[bytes]]", directory: Path) -> None:
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = directory
        self._obstacle = ""

    def run(  # noqa: PLR0913 - a task, its limits, and what it may reach
        self,
        task: str,
        arguments: dict[str, Any],
        limits: Limits,
        reply: type[R],
        *,
        readable: Iterable[Path] = (),
        writable: Iterable[Path] = (),
        echo: bool = False,
    ) -> TaskResult[R]:
        """Runs a task in a child process.

        Args:
            task: One of :data:`benchmark.submission.sandbox.worker.TASKS`.
            arguments: Its keyword arguments, of types that JSON has.
            limits: Limits of the child.
            reply: What it answers.
            readable: Files and directories it may read, in addition to Python and the code of Loupe.
            writable: Directories it may write into, in addition to its scratch directory.
            echo: Whether its output is shown at once.
        """
        scratch = Path(tempfile.mkdtemp(dir=self._directory))
        request = {
            "task": task,
            "arguments": arguments,
            "limits": asdict(limits),
            "scratch": str(scratch),
            "readable": [str(path) for path in readable],
            "writable": [str(path) for path in writable],
            "echo": echo,
        }
        try:
            obstacle = self.start()
            if obstacle and not limits.trust:
                return TaskResult(result=None, error=NOT_RUN.format(obstacle), unconfined=obstacle)
            answer = self._exchange(json.dumps(request), limits.seconds + GRACE)
        except WorkerEnded as ended:
            return TaskResult(result=None, error=str(ended))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return _parse_answer(answer, limits, reply, obstacle)

    def start(self) -> str:
        """Starts the process unless it runs. It ends with the thread that starts it.

        Returns:
            Why this system cannot confine a task. Empty where it can.

        Raises:
            WorkerEnded: The process was ended while it started.
        """
        if self._process is None:
            self._process = self._start()
            self._obstacle = str(self._read(START_TIMEOUT)["obstacle"])
        return self._obstacle

    def _exchange(self, request: str, seconds: float) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None:
            raise WorkerEnded
        try:
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._end()
            raise WorkerEnded from None
        return self._read(seconds)

    def _read(self, timeout: float) -> dict[str, Any]:
        """Reads a line of the worker. It comes from our own code."""
        line = b""
        if self._process is not None and self._process.stdout is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._process.stdout, selectors.EVENT_READ)
                line = self._process.stdout.readline(MAX_LINE_BYTES) if selector.select(timeout) else b""
        if not line:
            self._end()
            raise WorkerEnded
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._process = None


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
        CODE_VARIABLE: json.dumps(code_state()),
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


def _parse_answer(answer: dict[str, Any], limits: Limits, reply: type[R], obstacle: str) -> TaskResult[R]:
    gigabytes = f"{limits.memory / GIGABYTE:g} GB"
    reasons = {
        "time": f"takes more than {limits.seconds:g} s; it was ended",
        "output": f"prints more than {limits.output // 1024} KB; it was ended",
        "result": "returns a result that is too large; it was ended",
        "crash": "ended without a result; it crashed, or ended its own process",
        "processes": f"starts more than {limits.processes} processes and threads; it was ended",
        "memory": f"needs more memory than allowed ({gigabytes} for all its processes); it was ended",
        "disk": f"writes more than {limits.written / GIGABYTE:g} GB; it was ended",
    }
    error, result = reasons.get(answer["ended"], ""), None
    if not error:
        try:
            outcome = _Outcome[reply].model_validate_json(answer["payload"])  # type: ignore[valid-type]
            result, error = outcome.result, outcome.error
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            error = f"returns an invalid result ({make_printable(first['msg'])[:100]})"
    if result is None and not error:
        error = reasons["crash"]
    return TaskResult(
        result=None if error else result,
        error=error,
        output=str(answer["output"]),
        unconfined=obstacle,
        seconds=float(answer["seconds"]),
    )
