"""Starts a box that answers for a network, and connects to it."""

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from benchmark.errors import UserError
from benchmark.submission.sandbox.client import TaskResult, Worker
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import Answers

POLL_SECONDS = 0.2
END_SECONDS = 5.0
"""How long a box may take to end once its connection is closed, before the judge continues without its last message."""


@contextmanager
def connect(
    worker: Worker, task: str, arguments: dict[str, Any], limits: Limits, readable: Sequence[Path], *, echo: bool
) -> Iterator[tuple[socket.socket, Callable[[], str]]]:
    """Starts a box that serves a network. Yields the connection to it, and what finds why it ended.

    Args:
        worker: Runs the box.
        task: The task that answers. It also receives `address`, the path of the socket.
        arguments: Its other arguments.
        limits: Limits of the box.
        readable: Files that it may read.
        echo: Whether what it prints is shown at once.

    Raises:
        UserError: The box ended before it connected. The message says why.
    """
    outcomes: list[TaskResult[Answers]] = []

    def run(address: Path) -> None:
        request = {**arguments, "address": str(address)}
        outcomes.append(worker.run(task, request, limits, Answers, readable=[*readable, address], echo=echo))

    def find_reason() -> str:
        thread.join(END_SECONDS)
        return outcomes[0].error if outcomes else ""

    worker.start()  # here: Linux ends a process with the thread that started it
    with tempfile.TemporaryDirectory(prefix="loupe-judge-") as directory:
        address = Path(directory) / "judge"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen(1)
            listener.settimeout(POLL_SECONDS)
            thread = Thread(target=run, args=(address,), daemon=True)
            thread.start()
            channel = _accept(listener, thread, outcomes)
        with channel:
            channel.settimeout(None)
            yield channel, find_reason
        thread.join()


def _accept(listener: socket.socket, thread: Thread, outcomes: Sequence[TaskResult[Answers]]) -> socket.socket:
    """Waits for the one connection of the box."""
    while thread.is_alive():
        try:
            return listener.accept()[0]
        except TimeoutError:
            continue
    raise UserError(outcomes[0].error if outcomes else "its box ended without a word; is there enough memory?")
