"""The process that runs entries. It loads torch once and forks a child in a box for every task.

Requests and replies are lines of JSON. Nothing is unpickled. This process itself runs no code of an entry, and it does
not read what the child answers: it hands the bytes on.
"""

import gc
import json
import os
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.submission.sandbox.box import NO_BOX, Contents, run_in_box
from benchmark.submission.sandbox.limits import Limits, limit_process
from benchmark.submission.sandbox.linux import end_with_the_parent
from benchmark.submission.sandbox.supervisor import DISK, MEMORY, PROCESSES

TASKS = {
    "run_entry_checks": "benchmark.submission.checks.entry",
    "convert_checkpoint": "benchmark.submission.checkpoint_task",
    "describe_entry": "benchmark.submission.judge.tasks",
    "train_network": "benchmark.submission.judge.tasks",
    "measure_geometry": "benchmark.submission.judge.tasks",
    "serve_network": "benchmark.submission.judge.service",
    "serve_onnx": "benchmark.submission.judge.onnx_network",
    "rescore": "benchmark.submission.checks.rescore",
}
"""The module of each task. It has a function of the task's name."""
MAX_RESULT_BYTES = 4 * 1024**2
OUTPUT_TAIL = 4000
"""Number of bytes at the end of the output that a reply holds."""
POLL_SECONDS = 0.2
CACHES = ("HF_HUB_CACHE", "TORCH_HOME")
"""Environment variables with directories of published weights."""
EXCEEDED = {PROCESSES: "processes", MEMORY: "memory", DISK: "disk"}
"""How a task ended, by the exit code of its box."""


def main() -> None:
    """Serves one request per line until the parent closes the pipe."""
    end_with_the_parent()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output of a library must not be mistaken for a reply
    for name in ("torch", "timm", TASKS["run_entry_checks"]):
        import_module(name)
    gc.freeze()  # objects so far are never collected, so that children share their memory
    obstacle = find_obstacle()
    channel.write(json.dumps({"obstacle": obstacle}) + "\n")
    channel.flush()
    for line in sys.stdin:
        channel.write(json.dumps(handle_request(json.loads(line), obstacle)) + "\n")
        channel.flush()


def find_obstacle() -> str:
    """Returns why this system cannot confine a task. Empty where a box was made and held a process."""
    results, output = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(output, 2)
        scratch = tempfile.mkdtemp(dir=Path.cwd())
        os._exit(_run_boxed({"limits": {}, "scratch": scratch, "readable": [], "writable": []}, lambda: None))
    os.close(output)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(results, encoding="utf-8", errors="replace") as file:
        reason = file.read(OUTPUT_TAIL)
    return one_line(OSError(reason)) if code else ""


def handle_request(request: dict[str, Any], obstacle: str) -> dict[str, Any]:
    """Runs a task in a child.

    Args:
        request: task, arguments, limits, scratch, readable, writable, echo.
        obstacle: Why this system cannot confine it. Then it runs as it is, with limits of single processes alone.

    Returns:
        ended ("well", "time", "output", "result", "crash", or a limit of :data:`EXCEEDED`), payload (what the child
        sent, where it ended well), output (the end of what it printed), seconds.
    """
    import_module(TASKS[request["task"]])  # here, so that the children of later requests need not load it again
    start = time.monotonic()
    results, outputs = os.pipe(), os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            os._exit(_run_child(request, results[1], outputs[1], boxed=not obstacle))
        finally:
            os._exit(70)
    os.close(results[1])
    os.close(outputs[1])
    monitor = _ChildMonitor(child=child, limits=Limits(**request["limits"]), echo=request["echo"])
    try:
        ended = monitor.wait(results[0], outputs[0])
    finally:
        code = _kill(child)
        os.close(results[0])
        os.close(outputs[0])
    ended = EXCEEDED.get(code, ended)
    return {
        "ended": ended,
        "payload": bytes(monitor.result).decode(errors="replace") if ended == "well" else "",
        "output": bytes(monitor.output[-OUTPUT_TAIL:]).decode(errors="replace"),
        "seconds": time.monotonic() - start,
    }


@dataclass(kw_only=True)
class _ChildMonitor:
    """Reads result and output of a child, and enforces the limits that Linux does not."""

    child: int
    limits: Limits
    echo: bool
    result: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    printed: int = 0

    def wait(self, result: int, output: int) -> str:
        """Returns how the child ended: see :func:`handle_request`."""
        deadline = time.monotonic() + self.limits.seconds
        with selectors.DefaultSelector() as selector:
            selector.register(result, selectors.EVENT_READ, self._add_result)
            selector.register(output, selectors.EVENT_READ, self._add_output)
            while selector.get_map():
                ready = selector.select(POLL_SECONDS)
                for key, _ in ready:
                    part = os.read(key.fd, 65536)
                    if part:
                        key.data(part)
                    else:
                        selector.unregister(key.fd)
                if self.printed > self.limits.output:
                    return "output"
                if len(self.result) > MAX_RESULT_BYTES:
                    return "result"
                if time.monotonic() > deadline:
                    return "time"
                if not ready and os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    break  # the child has ended; a grandchild may hold the pipes open
        return "well" if self.result else "crash"

    def _add_result(self, part: bytes) -> None:
        self.result += part

    def _add_output(self, part: bytes) -> None:
        self.printed += len(part)
        self.output = (self.output + part)[-OUTPUT_TAIL:]
        if self.echo:
            text = part.decode(errors="replace")
            sys.stderr.write("".join(char for char in text if char == "\n" or char.isprintable()))
            sys.stderr.flush()


def _kill(child: int) -> int:
    """Kills the child and everything in its session, and returns its exit code. Its box ends with it."""
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run_child(request: dict[str, Any], result: int, output: int, *, boxed: bool) -> int:
    """The child: runs the task, in a box or as it is, and returns its exit code."""
    end_with_the_parent()
    os.setsid()
    # Only the pipes to the parent stay open: no file of the worker reaches the entry.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    channel = os.dup2(result, 3)
    os.closerange(4, 1024)
    task = partial(_answer, request, channel)
    if boxed:
        return _run_boxed(request, task)
    limit_process(Limits(**request["limits"]))
    task()
    return 0


def _run_boxed(request: dict[str, Any], task: Callable[[], None]) -> int:
    """Runs a task in a box and returns its exit code. Says on standard error why there is none."""
    caches = filter(None, map(os.environ.get, CACHES))
    contents = Contents(
        scratch=Path(request["scratch"]),
        readable=tuple(map(Path, [*request["readable"], *caches])),
        writable=tuple(map(Path, request["writable"])),
    )
    try:
        return run_in_box(contents, Limits(**request["limits"]), task)
    except OSError as error:
        os.write(2, f"{error}\n".encode())
        return NO_BOX


def _answer(request: dict[str, Any], channel: int) -> None:
    """Runs the task and sends its result."""
    os.chdir(request["scratch"])
    os.environ |= {"HOME": request["scratch"], "TMPDIR": request["scratch"], "USER": "entry"}
    task: Callable[..., Any] = getattr(import_module(TASKS[request["task"]]), request["task"])
    payload = json.dumps(_run_task(task, request["arguments"])).encode()
    while payload:
        payload = payload[os.write(channel, payload) :]
    sys.stdout.flush()


def _run_task(task: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns "result", or "error" in one line."""
    try:
        return {"result": task(**arguments)}
    except UserError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "needs more memory than allowed"}
    except BaseException as error:  # noqa: BLE001 - an entry may raise anything, SystemExit too
        return {"error": one_line(error)}


def one_line(error: BaseException) -> str:
    """Returns an error as one printable line."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "needs more memory than allowed"
    text = " ".join(str(error).split("\n")[0].split())[:300]
    name = type(error).__name__
    return "".join(char for char in (f"{name}: {text}" if text else name) if char.isprintable())


if __name__ == "__main__":
    main()
