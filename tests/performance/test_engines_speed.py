"""Equal cells of the quick preset on one Ray node of one core and on two; and in turn and side by side on one machine.

Each node has a core, a directory and workers of its own. The driver has no machine of its own and runs where there is
room. What is timed is the whole command, with imports, the start of the workers and the tables. The nodes run already.
On one machine, cells in turn have all its cores or its GPU. Cells side by side have a core or a quarter of a GPU each.
"""

import os
import subprocess
import sys
import time

import pytest

pytest.importorskip("ray", reason="Ray is not installed")

from benchmark.data.load import Source, load_index
from tests.benchmark.execution.ray_nodes import begun, cluster, environment
from tests.one_machine import alone
from tests.performance.report import told

CELLS = 6
"""Enough that start and tables, which no second node shortens, take the share that they have in a plan of minutes."""
EPOCHS = 6
GROUP = f"{CELLS} cells mobilenet/standard of the preset quick, {EPOCHS} epochs"
PLAN = ("--architecture", "mobilenet", "--regime", "standard", "--epochs", str(EPOCHS))
WAIT = """
import sys, time, ray
ray.init(sys.argv[1], logging_level="ERROR")
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.1)
"""


@pytest.fixture
def words(benchmark):
    """The plan on the embedded data."""
    if not benchmark.enabled:
        pytest.skip("tests/benchmark/execution/test_ray.py runs all of it, smaller")
    seeds = [word for seed in range(CELLS) for word in ("--seed", str(seed))]
    return ("run", *PLAN, *seeds, "--data", str(load_index(Source()).root))


def carried_out(directory, *words, threads):
    """Seconds until the last cell has come back, and from then on until the tables are written."""
    started = time.perf_counter()
    last, lines = started, []
    with begun(directory, *words, threads=threads) as run:
        for line in run.stdout:
            lines.append(line)
            if " s  accuracy " in line:
                last = time.perf_counter()
        assert run.wait() == 0, "".join([*lines, run.stderr.read()])
    return {"until the last cell": last - started, "tables": time.perf_counter() - last}


def measured(benchmark, directory, words, threads=1):
    """The data is decoded before; the cells are not found from an earlier run."""
    begun(directory, *words, "--dry-run").communicate()
    parts = {}
    benchmark.pedantic(lambda: parts.update(carried_out(directory, *words, threads=threads)), rounds=1)
    benchmark.extra_info["told"] = told(parts)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("nodes", [1, 2], ids=["one-node", "loupe-two-nodes"])
def test_ray(benchmark, tmp_path, words, nodes):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < nodes:
        pytest.skip("fewer cores than nodes")
    with cluster(tmp_path, cores[:nodes]) as address:
        command = [sys.executable, "-c", WAIT, address, str(nodes)]
        subprocess.run(command, env=environment(tmp_path), check=True, timeout=120, capture_output=True)
        benchmark.group = f"{GROUP}, by engine"
        measured(benchmark, tmp_path / "driver", (*words, "--device", "cpu", "--engine", "ray", "--address", address))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["local-in-turn", "loupe-side-by-side"])
def test_one_machine(benchmark, tmp_path, words, device, engine):
    benchmark.group = f"{GROUP}, on one machine"
    words = (*words, "--device", device.type)
    if engine == "local-in-turn":
        measured(benchmark, tmp_path, words, threads=len(os.sched_getaffinity(0)))
    else:
        shared = ("--cells-per-gpu", "4") if device.type == "cuda" else ()
        with alone("ray"):
            measured(benchmark, tmp_path, (*words, "--engine", "ray", *shared))
