"""System calls of Linux that Python lacks: namespaces, mounts, capabilities. Each raises OSError."""

import ctypes
import os
import signal
import struct
from functools import cache
from pathlib import Path

# Constants from the headers of Linux: sched.h, mount.h, prctl.h, capability.h, unistd.h.
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
READ_ONLY, NO_SUID, NO_DEVICES = 1, 2, 4
"""Attributes of mounts for :func:`restrict`."""
CAPABILITY_VERSION = 0x20080522
LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check_status(code: int) -> None:
    if code < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def _prctl(option: int, argument: int) -> None:
    _check_status(_libc().prctl(option, argument, 0, 0, 0))


def end_with_the_parent() -> None:
    """Makes Linux kill this process when its parent ends, for whatever reason."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_from_others() -> None:
    """Forbids processes of the same user to trace this one or to look into its descriptors."""
    _prctl(PR_SET_DUMPABLE, 0)


def unshare(flags: int, own: Path | int = Path("/proc/self")) -> None:
    """Moves this process into new namespaces, one of users among them. Its user and group stay the same.

    Args:
        flags: The other namespaces.
        own: The directory of this process in a writable /proc, as a path or as a descriptor.
    """
    user, group = os.getuid(), os.getgid()
    _check_status(_libc().unshare(CLONE_NEWUSER | flags))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        place = own / name if isinstance(own, Path) else f"self/{name}"
        file = os.open(place, os.O_WRONLY, dir_fd=None if isinstance(own, Path) else own)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """Mounts a file system of a kind, or a directory or file where the flags have MS_BIND."""
    texts = [os.fsencode(text) for text in (source, target, kind)]
    _check_status(_libc().mount(*texts, ctypes.c_ulong(flags), options.encode()))


def restrict(target: Path, attributes: int, flags: int = AT_RECURSIVE) -> None:
    """Adds attributes to a mount, and to all mounts below it unless the flags are 0."""
    packed = struct.pack("QQQQ", attributes, 0, 0, 0)
    code = _libc().syscall(SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), flags, packed, len(packed))
    _check_status(code)


def change_root(root: Path) -> None:
    """Makes a mount the root of this process. Nothing outside it has a path any more."""
    os.chdir(root)
    # Both at one place: the old root then covers the new one, until it is detached.
    _check_status(_libc().pivot_root(b".", b"."))
    _check_status(_libc().umount2(b".", MNT_DETACH))
    os.chdir("/")


def drop_capabilities() -> None:
    """Gives up all capabilities, and the ability to get any by executing a program."""
    for number in range(int(LAST_CAPABILITY.read_text(encoding="ascii")) + 1):
        _prctl(PR_CAPBSET_DROP, number)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _check_status(_libc().capset(struct.pack("II", CAPABILITY_VERSION, 0), bytes(24)))
