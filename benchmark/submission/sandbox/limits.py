"""Limits of the code of an entry."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

GIGABYTE = 1024**3
MAX_OPEN_FILES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of a task.

    Attributes:
        seconds: Wall clock time.
        memory: Bytes of memory beyond what torch itself takes, of each process and of all together. 0 means no limit,
            as CUDA needs: it reserves more address space than the machine has memory.
        output: Maximum number of printed bytes.
        written: Maximum size of a file in bytes, and of all new files in the directories that it may write into.
        scratch: Maximum number of bytes on each of its disks in memory: home, /tmp and /dev/shm.
        processes: Maximum number of processes and threads.
        network: Whether it may use the network.
        trust: Whether it runs even where this system cannot confine it.
    """

    seconds: float = 120.0
    memory: int = 8 * GIGABYTE
    output: int = 64 * 1024
    written: int = GIGABYTE
    scratch: int = GIGABYTE
    processes: int = 256 + 16 * (os.cpu_count() or 1)
    network: bool = False
    trust: bool = False


def limit_process(limits: Limits) -> None:
    """Sets the limits of Linux for this process. Its children inherit them, each for itself."""
    cores = os.cpu_count() or 1
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, int(limits.seconds * cores) + 5)
    _limit(resource.RLIMIT_FSIZE, limits.written)
    _limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    if limits.memory:
        _limit(resource.RLIMIT_AS, _address_space() + limits.memory)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _address_space() -> int:
    """Returns the bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
