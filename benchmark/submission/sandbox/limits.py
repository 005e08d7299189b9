"""Limits of a child process on Linux: memory, time, no network, and a disk that is read-only but for some directories.

They protect against accidents, not against an attacker: code of a stranger stays code of a stranger.
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

# Constants from the headers of Linux: sched.h, mount.h, prctl.h, unistd.h.
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1

GIGABYTE = 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of a child process.

    Attributes:
        seconds: Wall clock time.
        memory: Bytes of address space beyond what torch itself takes. 0 means no limit, as CUDA needs: it reserves
            more address space than the machine has memory.
        output: Maximum number of printed bytes.
        written: Maximum size of a file that it writes, in bytes.
        network: Whether it may use the network.
    """

    seconds: float = 120.0
    memory: int = 8 * GIGABYTE
    output: int = 64 * 1024
    written: int = GIGABYTE
    network: bool = False


def confine(limits: Limits, writable: Iterable[Path]) -> dict[str, str]:
    """Confines this process. Nothing can undo it.

    Args:
        limits: Limits of the process.
        writable: Directories that it may write into.

    Returns:
        "network": "off", "allowed", or why it is not confined. "disk": "read-only", or why it is not confined.
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
    """Makes Linux kill this process when its parent ends, for whatever reason."""
    with suppress(OSError, AttributeError):
        _check_status(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _address_space() -> int:
    """Returns the bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def _leave_namespaces(libc: ctypes.CDLL, flags: int) -> None:
    """Moves this process into namespaces of its own. Its user and group stay the same."""
    user, group = os.getuid(), os.getgid()
    _check_status(libc.unshare(CLONE_NEWUSER | flags))
    # Only in a user namespace may a process without privileges unshare the others. It maps to its own user there.
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny", encoding="ascii")
    (own / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    (own / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def _read_only(libc: ctypes.CDLL, writable: Iterable[Path]) -> None:
    """Makes the whole disk read-only, except for some directories."""
    # Private, so that no change reaches the mounts of the parent.
    _check_status(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    directories = [os.fsencode(path.resolve()) for path in writable]
    # A directory needs a mount of its own to have attributes of its own.
    for directory in directories:
        _check_status(libc.mount(directory, directory, None, MS_BIND, None))
    _set_attributes(libc, b"/", AT_RECURSIVE, added=MOUNT_ATTR_RDONLY)
    for directory in directories:
        _set_attributes(libc, directory, 0, removed=MOUNT_ATTR_RDONLY)


def _set_attributes(libc: ctypes.CDLL, path: bytes, flags: int, *, added: int = 0, removed: int = 0) -> None:
    attributes = struct.pack("QQQQ", added, removed, 0, 0)
    _check_status(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path, flags, attributes, len(attributes)))


def _check_status(code: int) -> None:
    if code != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
