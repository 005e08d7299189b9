"""Where a measurement runs and what is noted around it: device, threads, peak memory, load."""

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path

import torch

from benchmark.runtime.device import choose_device

PROCESS = Path("/proc/self")


def chosen_device() -> torch.device:
    """The device of the suites that take one: the variable LOUPE_BENCH_DEVICE, else the CPU."""
    return choose_device(os.environ.get("LOUPE_BENCH_DEVICE") or "cpu")


def chosen_threads() -> int:
    """One, since Quantus has one and threads that compete with other processes measure those."""
    return int(os.environ.get("LOUPE_BENCH_THREADS") or 1)


def until_done(function: Callable, device: torch.device) -> Callable:
    """The function, or on CUDA the function that returns when the card has computed its result."""
    if device.type != "cuda":
        return function

    @wraps(function)
    def synchronised(*args, **kwargs):
        result = function(*args, **kwargs)
        torch.cuda.synchronize(device)
        return result

    return synchronised


class PeakMemory:
    """Bytes at the highest point above those held at the start, of the card on CUDA, else of this process.

    What an earlier test gave back to an allocator that keeps it, and this one takes again, is not counted on the CPU;
    glibc's is emptied before.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start = self._begin()

    def bytes(self) -> int | None:
        """The peak so far; None where the system does not tell."""
        if self.start is None:
            return None
        cuda = self.device.type == "cuda"
        return (torch.cuda.max_memory_allocated(self.device) if cuda else _resident("VmHWM")) - self.start

    def _begin(self) -> int | None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device)
        with suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)  # glibc: what is free goes back, so that it counts when it is taken again
        try:
            # 5 sets the high-water mark back to what is resident now: man 5 proc_pid_clear_refs.
            (PROCESS / "clear_refs").write_text("5", encoding="utf-8")
            return _resident("VmHWM")
        except (OSError, LookupError):
            return None


def _resident(field: str) -> int:
    lines = (PROCESS / "status").read_text(encoding="utf-8").splitlines()
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found[0]) * 1024


def load() -> float:
    """Processes that ran or waited to run, averaged over the last minute; this one is among them."""
    return os.getloadavg()[0]


def all_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
