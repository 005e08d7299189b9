"""The supervisor of a box: its first process. It enforces limits on sums, which Linux has for single processes only."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from benchmark.submission.sandbox.limits import Limits

POLL_SECONDS = 0.05
DISK_SECONDS = 1.0
"""How often the written directories are measured, which takes longer than counting processes."""
PROCESSES, MEMORY, DISK = 71, 72, 73
"""Exit codes: the limit that the box exceeded."""
PROC = Path("/proc")


def supervise(task: int, limits: Limits, written: Iterable[Path]) -> int:
    """Waits for the task or for a limit. The box ends with the process that calls this.

    Args:
        task: The process to wait for.
        limits: Limits of the sums over all processes of the box.
        written: Directories outside the box that it writes into.

    Returns:
        0 if the task ended, or the code of the limit: :data:`PROCESSES`, :data:`MEMORY` or :data:`DISK`.
    """
    directories = tuple(written)
    before, measured = _disk_usage(directories), time.monotonic()
    own = _read_memory(PROC / "self")
    while not _has_ended(task):
        processes = [path for path in PROC.iterdir() if path.name.isdecimal()]
        threads = sum(_count(path / "task") for path in processes)
        if threads > limits.processes:
            return PROCESSES
        memory = sum(max(0, _read_memory(path) - own) for path in processes)
        if limits.memory and memory > limits.memory:
            return MEMORY
        if directories and time.monotonic() > measured + DISK_SECONDS:
            if _disk_usage(directories) > before + limits.written:
                return DISK
            measured = time.monotonic()
        time.sleep(POLL_SECONDS)
    return 0


def _has_ended(task: int) -> bool:
    """Whether the task has ended. Orphans of the box are reaped, too."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            if ended == task:
                return True
    return False


def _count(directory: Path) -> int:
    with suppress(OSError):
        return sum(1 for _ in directory.iterdir())
    return 0


def _read_memory(process: Path) -> int:
    """Returns the bytes of memory of a process that no file backs. 0 if it has ended."""
    with suppress(OSError):
        lines = (process / "status").read_text(encoding="utf-8", errors="replace").splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0


def _disk_usage(directories: Iterable[Path]) -> int:
    """Returns the bytes that files below some directories take on disk."""
    return sum(512 * blocks for directory in directories for blocks in _walk_blocks(directory))


def _walk_blocks(directory: Path) -> Iterator[int]:
    for folder, _, files in os.walk(directory):
        for file in files:
            with suppress(OSError):  # it is gone already
                yield os.lstat(os.path.join(folder, file)).st_blocks  # noqa: PTH118 - thousands of files
