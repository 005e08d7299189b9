"""The process that entries run in. It loads torch once and forks a confined child for every task.

Requests and replies are lines of JSON; nothing is ever unpickled. This process itself runs no code of an entry.
"""

import gc
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.submission.sandbox.limits import Limits, confine, end_with_the_parent

TASKS = {
    "examine": "benchmark.submission.checks.entry",
    "evaluate": "benchmark.submission.evaluate",
    "rescore": "benchmark.submission.checks.score",
}
"""The module of each task, which has a function of the task's name."""
RESULT = 4 * 1024**2
"""Most bytes of a result."""
KEPT = 4000
"""So many bytes of what was printed last are told."""
PATIENCE = 0.2


def main() -> None:
    """Serves one request per line until the parent closes the pipe."""
    end_with_the_parent()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not be taken for a reply
    for name in ("torch", "timm", TASKS["examine"]):
        import_module(name)
    gc.freeze()
    channel.write("ready\n")
    channel.flush()
    for line in sys.stdin:
        channel.write(json.dumps(attend(json.loads(line))) + "\n")
        channel.flush()


def attend(request: dict[str, Any]) -> dict[str, Any]:
    """Carries out a task in a child.

    Args:
        request: task, given (its arguments), limits, scratch, writable, echo.

    Returns:
        ended ("well", "time", "output", "result" or "crash"), reply (of the child, where it ended well), output (the
        last of what it printed), seconds.
    """
    import_module(TASKS[request["task"]])  # here, so that the children of later requests need not load it again
    begun = time.monotonic()
    results, outputs = os.pipe(), os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            _live(request, results[1], outputs[1])
        finally:
            os._exit(70)
    os.close(results[1])
    os.close(outputs[1])
    watch = _ChildMonitor(child=child, limits=Limits(**request["limits"]), echo=request["echo"])
    try:
        ended = watch.until_the_end(results[0], outputs[0])
    finally:
        _end(child)
        os.close(results[0])
        os.close(outputs[0])
    told: dict[str, Any] = {"ended": ended, "reply": None, "seconds": time.monotonic() - begun}
    told["output"] = bytes(watch.output[-KEPT:]).decode(errors="replace")
    if ended == "well":
        try:
            told["reply"] = json.loads(bytes(watch.result))
        except ValueError:
            told["ended"] = "crash"
    return told


@dataclass(kw_only=True)
class _ChildMonitor:
    """Reads what a child sends and prints, and says how it ended."""

    child: int
    limits: Limits
    echo: bool
    result: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    printed: int = 0

    def until_the_end(self, result: int, output: int) -> str:
        deadline = time.monotonic() + self.limits.seconds
        with selectors.DefaultSelector() as selector:
            selector.register(result, selectors.EVENT_READ, self._send)
            selector.register(output, selectors.EVENT_READ, self._print)
            while selector.get_map():
                ready = selector.select(PATIENCE)
                for key, _ in ready:
                    part = os.read(key.fd, 65536)
                    if part:
                        key.data(part)
                    else:
                        selector.unregister(key.fd)
                if self.printed > self.limits.output:
                    return "output"
                if len(self.result) > RESULT:
                    return "result"
                if time.monotonic() > deadline:
                    return "time"
                if not ready and os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    break  # a grandchild may hold the pipes open
        return "well" if self.result else "crash"

    def _send(self, part: bytes) -> None:
        self.result += part

    def _print(self, part: bytes) -> None:
        self.printed += len(part)
        self.output = (self.output + part)[-KEPT:]
        if self.echo:
            text = part.decode(errors="replace")
            sys.stderr.write("".join(letter for letter in text if letter == "\n" or letter.isprintable()))
            sys.stderr.flush()


def _end(child: int) -> None:
    """Ends the child with all that it started in its own session."""
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os.waitpid(child, 0)


def _live(request: dict[str, Any], result: int, output: int) -> None:
    """The child: confined, it carries out the task and sends what came of it."""
    end_with_the_parent()
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    channel = os.dup2(result, 3)
    os.closerange(4, 1024)
    scratch = Path(request["scratch"])
    os.chdir(scratch)
    os.environ |= {"HOME": str(scratch), "TMPDIR": str(scratch)}
    task: Callable[..., Any] = getattr(import_module(TASKS[request["task"]]), request["task"])
    confined = confine(Limits(**request["limits"]), [scratch, *map(Path, request["writable"])])
    os.chdir(scratch)  # again: the directory as it was before is read-only now
    told = json.dumps(_told(task, request["given"]) | {"confined": confined}).encode()
    while told:
        told = told[os.write(channel, told) :]
    sys.stdout.flush()
    os._exit(0)


def _told(task: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """What a task came to: found, or refused with one line."""
    try:
        return {"found": task(**given)}
    except UserError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": "takes more memory than it may"}
    except BaseException as error:  # noqa: BLE001 - an entry may raise anything, SystemExit too
        return {"refused": one_line(error)}


def one_line(error: BaseException) -> str:
    """An error in one printable line."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "takes more memory than it may"
    text = " ".join(str(error).split("\n")[0].split())[:300]
    name = type(error).__name__
    return "".join(letter for letter in (f"{name}: {text}" if text else name) if letter.isprintable())


if __name__ == "__main__":
    main()
