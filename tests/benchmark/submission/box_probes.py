"""Attempts to leave a box. Run as a program, it makes boxes and prints what each attempt came to, as JSON."""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

from benchmark.storage.paths import ROOT
from benchmark.submission.sandbox.box import NO_BOX, Contents, run_in_box
from benchmark.submission.sandbox.limits import Limits

LIBC = ctypes.CDLL(None, use_errno=True)
MEGABYTE = 1024**2
SMALL = Limits(seconds=20, memory=256 * MEGABYTE, written=8 * MEGABYTE, scratch=8 * MEGABYTE, processes=40)
KEY = 0x10F9E


class Outside:
    """What a task must not reach: files, sockets, shared memory and a process outside the box."""

    def __init__(self, directory: Path) -> None:
        self.masks = directory / "data" / "masks"
        self.results = directory / "results"
        for path in (self.masks, self.results):
            path.mkdir(parents=True)
            (path / "secret").write_text("secret")
        self.entry = directory / "entry.py"
        self.entry.write_text("")
        self.process = os.getpid()
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.unix = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        self.addresses = [str(directory / "socket"), f"\0loupe-{os.getpid()}"]
        for server, address in zip(self.unix, self.addresses, strict=True):
            server.bind(address)
            server.listen()
        self.memory = LIBC.shmget(KEY, 4096, 0o1666)
        os.environ["LOUPE_PROBE_HOME"] = str(Path.home())


def call(code: int) -> int:
    """Raises OSError as the functions of os do."""
    if code < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return code


def syscall(number: int, *arguments: object) -> int:
    return call(LIBC.syscall(number, *arguments))


def survive_kill_of_init() -> None:
    os.kill(1, signal.SIGKILL)
    time.sleep(0.05)
    raise PermissionError("the init goes on")


def must_lack(path: Path) -> None:
    """Succeeds, as an attempt, if there is anything at a path."""
    if not any(path.iterdir()):
        raise FileNotFoundError(path)


def find_processes() -> None:
    others = {path.name for path in Path("/proc").iterdir() if path.name.isdecimal()} - {"1", str(os.getpid())}
    if not others:
        raise ProcessLookupError


def read_status(field: str, harmless: str) -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    if next(line.split()[1] for line in lines if line.startswith(f"{field}:")) == harmless:
        raise PermissionError(field)


def connect(family: int, address: object) -> None:
    with socket.socket(family) as client:
        client.connect(address)


def fill(path: Path) -> None:
    """Writes more than the limit, in files that are each within it."""
    for number in range(4):
        with (path / f"part{number}").open("wb") as file:
            file.write(bytes(4 * MEGABYTE))


def probes(outside: Outside) -> dict[str, object]:
    """Each attempt raises OSError or ValueError where the box holds."""
    clear = struct.pack("QQQQ", 0, 1, 0, 0)
    return {
        "clear read-only of the root": lambda: syscall(442, -100, b"/", 0x8000, clear, 32),
        "clear read-only of the code": lambda: syscall(442, -100, os.fsencode(ROOT / "benchmark"), 0, clear, 32),
        "remount the root": lambda: call(LIBC.mount(b"none", b"/", None, 0x20 | 0x1000, None)),
        "bind the code elsewhere": lambda: call(
            LIBC.mount(os.fsencode(ROOT / "benchmark"), b"/tmp", None, 0x1000, None)
        ),
        "detach the scratch": lambda: call(LIBC.umount2(b"/tmp", 2)),
        "a user namespace": lambda: call(LIBC.unshare(0x10000000)),
        "a user namespace with mounts": lambda: call(LIBC.unshare(0x10020000)),
        "a mount namespace": lambda: call(LIBC.unshare(0x20000)),
        "a process namespace": lambda: call(LIBC.unshare(0x20000000)),
        "the namespace of the init": lambda: call(LIBC.setns(os.open("/proc/1/ns/user", 0), 0)),
        "write to /usr": lambda: Path("/usr/stolen").write_text(""),
        "write to the root": lambda: Path("/stolen").write_text(""),
        "write to the code": lambda: (ROOT / "benchmark" / "stolen").write_text(""),
        "write to the entry": lambda: outside.entry.write_text("changed"),
        "write to the packages": lambda: Path(sys.prefix, "stolen").write_text(""),
        "write to /proc/sys": lambda: Path("/proc/sys/kernel/core_pattern").write_text("|/bin/sh"),
        "runs": lambda: must_lack(ROOT / "runs"),
        "results": lambda: must_lack(ROOT / "results"),
        "other results": lambda: must_lack(outside.results),
        "the masks": lambda: must_lack(outside.masks),
        "the history of the repository": lambda: must_lack(ROOT / ".git"),
        "files of the home": (Path(os.environ["LOUPE_PROBE_HOME"]) / ".bashrc").read_bytes,
        "passwords": lambda: Path("/etc/shadow").read_bytes(),
        "names of users": lambda: Path("/etc/passwd").read_bytes(),
        "the way up": lambda: must_lack(Path("/../../../var")),
        "another process": find_processes,
        "signal the caller": lambda: os.kill(outside.process, 0),
        "kill the init": survive_kill_of_init,
        "trace the init": lambda: call(LIBC.ptrace(16, 1, 0, 0)),
        "the environment of the init": Path("/proc/1/environ").read_bytes,
        "memory of the init": lambda: Path("/proc/1/mem").read_bytes(),
        "terminals": lambda: must_lack(Path("/dev/pts")),
        "the terminal": lambda: os.open("/dev/tty", os.O_RDWR),
        "a disk": lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0)),
        "a TCP server": lambda: connect(socket.AF_INET, ("127.0.0.1", outside.port)),
        "a socket in a directory": lambda: connect(socket.AF_UNIX, outside.addresses[0]),
        "a socket without a directory": lambda: connect(socket.AF_UNIX, outside.addresses[1]),
        "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "shared memory": lambda: call(LIBC.shmget(KEY, 4096, 0)),
        "another root": lambda: os.chroot("/tmp"),
        "the name of the host": lambda: socket.sethostname("stolen"),
        "another user": lambda: os.setuid(1),
        "effective capabilities": lambda: read_status("CapEff", "0" * 16),
        "capabilities to regain": lambda: read_status("CapBnd", "0" * 16),
        "new privileges": lambda: read_status("NoNewPrivs", "1"),
        "a higher limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2),
        "a higher priority": lambda: os.nice(-5),
        "much scratch in many files": lambda: fill(Path(os.environ["TMPDIR"])),
        "much scratch in /tmp": lambda: fill(Path("/tmp")),
        "much scratch in /dev/shm": lambda: fill(Path("/dev/shm")),
    }


def attempt_all(outside: Outside, channel: int) -> None:
    outcomes = {}
    for name, probe in probes(outside).items():
        try:
            probe()
            outcomes[name] = "succeeded"
        except (OSError, ValueError) as error:
            outcomes[name] = f"held: {type(error).__name__}: {error}"
    os.write(channel, json.dumps(outcomes).encode())


def fork_much() -> None:
    for _ in range(10_000):
        if os.fork() == 0:
            time.sleep(60)
    time.sleep(60)


def hoard_together() -> None:
    """Each of four processes stays below the limit that all exceed together."""
    for _ in range(4):
        if os.fork() == 0:
            kept = bytearray(100 * MEGABYTE)
            time.sleep(60 + kept[0])
    time.sleep(60)


def leave_one_behind(path: Path) -> None:
    """A grandchild in a session of its own, which outlives the task by a fifth of a second unless it is ended."""
    ready, started = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(started, b"1")
            time.sleep(0.2)
            (path / "left").write_text("behind")
        os._exit(0)
    os.read(ready, 1)


def fill_outside(path: Path) -> None:
    fill(path)
    time.sleep(60)


def run(task, scratch: Path, **paths: tuple[Path, ...]) -> int:
    """Runs a task in a box of its own and returns the exit code."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setsid()
        scratch.mkdir()
        os.environ["TMPDIR"] = str(scratch)
        try:
            os._exit(run_in_box(Contents(scratch=scratch, **paths), SMALL, task))
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        os._exit(NO_BOX)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Prints the outcome of each attempt, the codes of boxes that exceed a limit, and what was left behind."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        outside = Outside(directory)
        results, channel = os.pipe()
        run(lambda: attempt_all(outside, channel), directory / "probes", readable=(outside.entry,))
        os.close(channel)
        with os.fdopen(results) as file:
            outcomes = json.loads(file.read() or "{}")
        LIBC.shmctl(outside.memory, 0, None)
        written = directory / "written"
        written.mkdir()
        codes = {
            "processes": run(fork_much, directory / "forks"),
            "memory": run(hoard_together, directory / "hoard"),
            "left": run(lambda: leave_one_behind(written), directory / "left", writable=(written,)),
            "disk": run(lambda: fill_outside(written), directory / "disk", writable=(written,)),
        }
        time.sleep(0.3)
        left = (written / "left").exists()
        sys.stdout.write(json.dumps({"attempts": outcomes, "codes": codes, "left": left}))


if __name__ == "__main__":
    main()
