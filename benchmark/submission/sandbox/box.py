"""A box for a stranger's code: namespaces, a disk of its own that holds little, no capabilities, and a supervisor.

Made by system calls, not by bubblewrap: a fork of a process that has loaded torch starts in milliseconds, and a program
of its own loads torch for every task.

Processes: the caller waits for the *init* of the box, which waits for the *task*. Linux kills the whole box when the
init or the caller ends.
"""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.storage.paths import ROOT
from benchmark.submission.sandbox.limits import Limits, limit_process
from benchmark.submission.sandbox.linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    NO_DEVICES,
    NO_SUID,
    READ_ONLY,
    change_root,
    drop_capabilities,
    end_with_the_parent,
    hide_from_others,
    mount,
    restrict,
    unshare,
)
from benchmark.submission.sandbox.supervisor import supervise

SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives")
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki")
"""What looking up hosts and TLS need."""
PACKAGES = ("benchmark", "architectures", "metrics", "datasets")
"""What an entry may import of this repository. Results, runs and other entries are not among it."""
DEVICES = ("null", "zero", "full", "random", "urandom")
GPU = "nvidia*"
"""Names of the devices of a GPU under /dev."""
NO_BOX = 70
"""Exit code of a box that could not be made."""
PLAIN = MS_NOSUID | MS_NODEV
OTHER_NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
TMPFS = "mode=0700,size={size},nr_inodes=100000"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What the disk of a box holds besides the system, Python and the code of Loupe.

    Attributes:
        scratch: An empty directory, the home of the task. In the box it is a disk in memory of limited size.
        readable: Files and directories to read.
        writable: Directories to write into.
    """

    scratch: Path
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()


def run_in_box(contents: Contents, limits: Limits, task: Callable[[], None]) -> int:
    """Runs a task in a box and waits for its end.

    Args:
        contents: What the disk of the box holds.
        limits: Its limits.
        task: Runs in a process of its own.

    Returns:
        The exit code of the box: 0, a code of :mod:`benchmark.submission.sandbox.supervisor`, or :data:`NO_BOX`.

    Raises:
        OSError: This system has no namespaces for users without privileges.
    """
    unshare(OTHER_NAMESPACES | (0 if limits.network else CLONE_NEWNET))
    init = os.fork()
    if init == 0:
        try:
            os._exit(_run_init(contents, limits, task))
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(NO_BOX)
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])


def _run_init(contents: Contents, limits: Limits, task: Callable[[], None]) -> int:
    """The first process of the box: makes its disk, starts the task, and supervises it."""
    end_with_the_parent()
    _enter(contents, limits)
    hide_from_others()
    child = os.fork()
    if child == 0:
        limit_process(limits)
        task()
        os._exit(0)
    os.closerange(0, 1024)  # the pipes of the task end with the task
    return supervise(child, limits, contents.writable)


def _enter(contents: Contents, limits: Limits) -> None:
    """Makes the disk of the box and moves this process into it, then gives up all rights over it."""
    root = contents.scratch
    mount("none", Path("/"), "", MS_REC | MS_PRIVATE)  # no mount from here on reaches the outside
    outer_proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, TMPFS.format(size="16m"))
    for path in (Path("/tmp"), Path("/dev/shm"), contents.scratch):  # noqa: S108 - of the box
        mount("tmpfs", _make_directory(root, path), "tmpfs", PLAIN, TMPFS.format(size=limits.scratch))
    _bind_all([*map(Path, (*SYSTEM, *(NETWORK if limits.network else ()))), *_python_paths(), *contents.readable], root)
    _bind_all(contents.writable, root, writable=True)
    _bind_devices(root, gpu=not limits.memory)
    mount("proc", _make_directory(root, Path("/proc")), "proc", PLAIN | MS_NOEXEC)
    # The second namespace below is the only one: in one of its own, a task would have capabilities again.
    (root / "proc/sys/user/max_user_namespaces").write_text("1", encoding="ascii")
    # The owner of a file in /proc/sys writes into it without any capability, and root in here is root out there.
    restrict(root / "proc", READ_ONLY)
    change_root(root)
    restrict(Path("/"), READ_ONLY, 0)
    # In a second user namespace the mounts are locked: what is read-only stays so, whatever a task unshares.
    unshare(CLONE_NEWNS, own=outer_proc)
    os.close(outer_proc)
    drop_capabilities()


def _python_paths() -> list[Path]:
    """Returns the directories of Python, its packages, and the code of Loupe."""
    return [Path(sys.prefix), Path(sys.base_prefix), *(ROOT / package for package in PACKAGES)]


def _bind_all(paths: Iterable[Path], root: Path, *, writable: bool = False) -> None:
    """Shows files and directories in the box, each at its own path and at that without symbolic links."""
    for path in paths:
        if path.exists():
            for place in {path.absolute(), path.resolve()}:
                _bind(path.resolve(), _make_place(root, place, directory=path.is_dir()), writable=writable)


def _bind(source: Path, target: Path, *, writable: bool) -> None:
    mount(str(source), target, "", MS_BIND | MS_REC)
    restrict(target, NO_SUID | NO_DEVICES | (0 if writable else READ_ONLY))


def _bind_devices(root: Path, *, gpu: bool) -> None:
    """Shows the devices that programs need. Neither disks nor terminals are among them."""
    names = [*DEVICES, *(path.name for path in Path("/dev").glob(GPU) if gpu)]
    for path in (Path("/dev") / name for name in names):
        mount(str(path), _make_place(root, path, directory=path.is_dir()), "", MS_BIND | MS_REC)


def _make_directory(root: Path, path: Path) -> Path:
    """Makes the directory of a path in the box."""
    place = root / path.relative_to("/")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _make_place(root: Path, path: Path, *, directory: bool) -> Path:
    """Makes the directory or the empty file that a mount covers."""
    place = _make_directory(root, path if directory else path.parent)
    if directory:
        return place
    place /= path.name
    if not place.exists():
        place.touch()
    return place
