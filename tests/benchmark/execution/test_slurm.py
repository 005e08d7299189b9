"""The SLURM script on one node, with words of SLURM's own played by small programs: there is no SLURM here."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from benchmark.storage.paths import ROOT

pytest.importorskip("ray", reason="Ray is not installed")

from tests.one_machine import alone

SCRIPT = ROOT / "benchmark" / "execution" / "slurm.sh"
JOB = os.getpid()
PORT = 20000 + JOB % 10000
"""As the script chooses it."""
PROGRAMS = {
    "scontrol": '#!/bin/bash\n[ "$1 $2" = "show hostnames" ] && tr , "\\n" <<< "$3"\n',
    # Runs its command once, as it does for a single task: what follows its own options.
    "srun": '#!/bin/bash\nwhile [[ "$1" == --* ]]; do shift; done\nexec "$@"\n',
    "python": f'#!/bin/bash\nexec {sys.executable} "$@"\n',
    # Ends the cluster of this job. Ray's own `stop` would end every cluster of the user on this machine.
    "ray": f"""#!/bin/bash
if [ "$1" = stop ]; then exec pkill -KILL -f -- "site-packages/ray/.*[:=]{PORT}( |$)"; fi
exec {sys.executable} -m ray.scripts.scripts "$@"
""",
}


@pytest.fixture
def allocation(tmp_path):
    """The environment of a job that has one node, this one."""
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    return os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHON": str(tmp_path / "bin" / "python"),
        "SLURM_JOB_ID": str(JOB),
        "SLURM_JOB_NODELIST": "127.0.0.1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_ON_NODE": "1",
        "SLURM_TMPDIR": str(tmp_path / "local"),
        "LOUPE_RUNS": str(tmp_path / "runs"),
        "LOUPE_RESULTS": str(tmp_path / "results"),
        "OMP_NUM_THREADS": "1",
    }


def of_its_cluster() -> list[str]:
    """Processes of Ray that know the port of this job, by their command line."""
    lines = list[str]()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if "/ray/" in line and str(PORT) in line]


def another_runs() -> bool:
    """Whether there is a Ray on this machine, of whomever: `symmetric-run` starts none beside it."""
    look = "from ray._private.services import find_gcs_addresses; print(len(find_gcs_addresses()))"
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    return said.stdout.split()[-1] != "0"


@pytest.fixture
def no_other_ray():
    """No test of ours has a cluster as long as this one runs; nor has anybody else when it begins."""
    with alone("ray"):
        if another_runs():
            pytest.skip("a Ray that no test started runs on this machine, and symmetric-run starts none beside it")
        yield


@pytest.mark.slow
@pytest.mark.timeout(900)  # with the time to wait for a cluster of another test
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.usefixtures("no_other_ray")
def test_a_job_of_one_node_carries_out_its_cells_and_ends_its_cluster(tmp_path, allocation, isic_tree):
    words = ["--architecture", "mobilenet", "--regime", "standard", "--epochs", "1", "--device", "cpu"]
    done = subprocess.run(
        ["bash", SCRIPT, *words, "--data", isic_tree],
        cwd=ROOT,
        env=allocation,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "tiny-isic" / "quick" / "leaderboard.csv").is_file()
    # The node worked on its own disk; what its cell left behind came to the driver's directory.
    assert any((tmp_path / "runs" / "cells").iterdir())
    assert (tmp_path / "local" / f"loupe-{JOB}").is_dir()
    assert not of_its_cluster()
