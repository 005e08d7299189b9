"""Ray nodes on this machine, each with a working directory of its own, and runs that use them."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmark.storage.paths import ROOT
from tests.one_machine import alone

TOKEN = secrets.token_hex(32)
"""By which the nodes know each other."""


def environment(directory: Path, threads: int = 1) -> dict[str, str]:
    """One thread each, since sums of floating-point numbers depend on how they are shared out."""
    own = {"LOUPE_RUNS": str(directory / "runs"), "LOUPE_RESULTS": str(directory / "results")}
    own |= {"OMP_NUM_THREADS": str(threads)}
    # Ray would let workers give way to everything else that runs here.
    rays = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    return os.environ | own | rays | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


@contextmanager
def node(runs: Path, *words: str, core: int | None = None) -> Iterator[None]:
    """A Ray node of one core, started as on a machine of its own; it ends with the block.

    Args:
        runs: Directory of its runs; its log lies beside it.
        words: More options of `ray start`.
        core: The only one that it and its workers may use; None lets the system choose.
    """
    ports = ["--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--num-gpus=0"]
    sizes = ["--object-store-memory=100000000"]
    with (runs.parent / f"{runs.name}.log").open("wb") as log:
        started = subprocess.Popen(
            [*command, *ports, *sizes, *words], env=environment(runs), stdout=log, stderr=log, start_new_session=True
        )
        if core is not None:
            os.sched_setaffinity(started.pid, {core})  # what it starts will inherit this
        try:
            yield
        finally:
            started.terminate()
            try:
                started.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def cluster(directory: Path, cores: Sequence[int | None]) -> Iterator[str]:
    """The address of as many nodes as there are cores, in the directories `node0`, `node1` ..., until the block ends.

    It waits for other tests' clusters to end: `ray symmetric-run` refuses to start where any Ray runs already.
    """
    with alone("ray"):
        yield from _cluster(directory, cores)


def _cluster(directory: Path, cores: Sequence[int | None]) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    # The names of sockets must be short, and those of pytest's directories are not.
    sockets = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    head = ("--head", "--node-ip-address=127.0.0.1", f"--port={address.split(':')[1]}", f"--temp-dir={sockets}")
    words = (*head, "--include-dashboard=false", f"--ray-client-server-port={free_port()}")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        for number, core in enumerate(cores):
            stack.enter_context(node(directory / f"node{number}", *words, core=core))
            if number == 0:
                _wait_for(address)
            _wait_for_text(directory / f"node{number}.log", "Ray runtime started")
            words = (f"--address={address}", "--node-ip-address=127.0.0.1")
        yield address


def _wait_for(address: str, seconds: float = 60) -> None:
    """Returns when somebody listens there, or when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", int(address.split(":")[1]))) == 0:
                return
        time.sleep(0.2)


def _wait_for_text(log: Path, text: str, seconds: float = 120) -> None:
    """Returns when a log has a text, so that a slow node has joined before the work begins, or when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and text not in log.read_text(encoding="utf-8", errors="replace"):
        time.sleep(0.2)


def begun(directory: Path, *words: str, threads: int = 1) -> subprocess.Popen[str]:
    """A run of the command line, with runs and results in a directory."""
    command = [sys.executable, "-m", "benchmark", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment(directory, threads), stdout=pipe, stderr=pipe, text=True)
