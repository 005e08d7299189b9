"""Limits of a child process on Linux: memory, time, no network, and a disk that is read-only but for one directory.

Against accidents, not against an attacker: whoever runs a stranger's Python runs a stranger's Python.
"""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# From the headers of Linux: sched.h, mount.h, prctl.h, unistd.h.
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1

GIGABYTE = 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a child process may take.

    Attributes:
        seconds: By the clock on the wall.
        memory: Bytes of address space beyond what torch itself takes; 0 for no limit, since CUDA reserves far more
            than there is.
        output: Bytes that it may print.
        written: Bytes of the largest file that it may write.
        network: Whether it may use the network.
    """

    seconds: float = 120.0
    memory: int = 8 * GIGABYTE
    output: int = 64 * 1024
    written: int = GIGABYTE
    network: bool = False


def confine(limits: Limits, writable: Iterable[Path]) -> dict[str, str]:
    """Confines this process, for good, and says what holds.

    Args:
        limits: What it may take.
        writable: Directories that it may write into.

    Returns:
        "network" and "disk" with "off", "read-only", or the reason why not.
    """
    cores = os.cpu_count() or 1
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, int(limits.seconds * cores) + 5)
    _limit(resource.RLIMIT_FSIZE, limits.written)
    if limits.memory:
        _limit(resource.RLIMIT_AS, _address_space() + limits.memory)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        network = "allowed" if limits.network else "off"
        _leave_namespaces(libc, CLONE_NEWNS | (0 if limits.network else CLONE_NEWNET))
    except (OSError, AttributeError) as error:
        return dict.fromkeys(("network", "disk"), f"not confined here ({error})")
    try:
        _read_only(libc, writable)
    except OSError as error:
        return {"network": network, "disk": f"not confined here ({error})"}
    return {"network": network, "disk": "read-only"}


def end_with_the_parent() -> None:
    """Has Linux end this process when its parent ends, however that happens."""
    with suppress(OSError, AttributeError):
        _done(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _address_space() -> int:
    """Bytes of address space that this process has by now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def _leave_namespaces(libc: ctypes.CDLL, flags: int) -> None:
    """Into namespaces of its own; the user stays who it was."""
    user, group = os.getuid(), os.getgid()
    _done(libc.unshare(CLONE_NEWUSER | flags))
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny", encoding="ascii")
    (own / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    (own / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def _read_only(libc: ctypes.CDLL, writable: Iterable[Path]) -> None:
    """The whole disk read-only, but for some directories."""
    _done(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    directories = [os.fsencode(path.resolve()) for path in writable]
    for directory in directories:
        _done(libc.mount(directory, directory, None, MS_BIND, None))
    _set_attributes(libc, b"/", AT_RECURSIVE, added=MOUNT_ATTR_RDONLY)
    for directory in directories:
        _set_attributes(libc, directory, 0, removed=MOUNT_ATTR_RDONLY)


def _set_attributes(libc: ctypes.CDLL, path: bytes, flags: int, *, added: int = 0, removed: int = 0) -> None:
    attributes = struct.pack("QQQQ", added, removed, 0, 0)
    _done(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path, flags, attributes, len(attributes)))


def _done(code: int) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
