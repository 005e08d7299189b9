"""Cells on many machines: two Ray nodes on this one, each with a working directory of its own."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed")

from tests.benchmark.execution.ray_nodes import begun, cluster, free_port
from tests.command import call, refused

PLAN = ("run", "--architecture", "mobilenet", "--architecture", "mobilenet_v2", "--epochs", "1", "--device", "cpu")
CELLS = [f"{name}-{regime}-0" for name in ("mobilenet", "mobilenet_v2") for regime in ("adversarial", "standard")]


@pytest.fixture
def two_nodes(tmp_path):
    with cluster(tmp_path, [None, None]) as address:
        yield address


def workers_at_work(runs: Path) -> list[int]:
    """Processes of a node that carry out a cell at the moment, by their title and the directory they were given."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
            given = (process / "environ").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::_cell") and f"LOUPE_RUNS={runs}".encode() in given.split(b"\0"):
            found.append(int(process.name))
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)  # with the time to wait for a cluster of another test
def test_two_nodes_of_which_one_loses_its_worker_make_the_same_bytes(tmp_path, isic_tree, two_nodes):
    in_turn = begun(tmp_path / "turn", *PLAN, "--data", isic_tree)
    out, errors = in_turn.communicate()
    assert in_turn.returncode == 0, out + errors

    spread = begun(tmp_path / "spread", *PLAN, "--data", isic_tree, "--engine", "ray", "--address", two_nodes)
    killed = 0
    while spread.poll() is None and not killed:
        time.sleep(0.2)
        if (tmp_path / "node1" / "runs" / "models").is_dir():  # a model is trained and its maps are not yet scored
            for worker in workers_at_work(tmp_path / "node1" / "runs"):
                os.kill(worker, signal.SIGKILL)
                killed = worker
    out, errors = spread.communicate()
    assert spread.returncode == 0, out + errors
    assert killed

    results = {name: tmp_path / name / "results" / "tiny-isic" / "quick" for name in ("turn", "spread")}
    tables = [directory / "leaderboard.csv" for directory in results.values()]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    for cell in CELLS:
        paths = [next((directory / "records").glob(f"{cell}-*.json")) for directory in results.values()]
        assert paths[0].name == paths[1].name
        records = [json.loads(path.read_bytes()) for path in paths]
        assert records[0]["key"] == records[1]["key"]
        # What travels is all that a run here would have kept, and the code is known by its commit.
        assert records[0]["environment"]["commit"] == records[1]["environment"]["commit"]
        assert records[0]["training"]["sha256"] == records[1]["training"]["sha256"]
    kept = [
        {path.relative_to(tmp_path / name / "runs") for path in (tmp_path / name / "runs").glob("[cmpy]*/*")}
        for name in ("turn", "spread")
    ]
    assert kept[0] == kept[1]
    # The baselines are scored where the cells are.
    assert list(tmp_path.glob("node?/runs/baselines/*.parquet"))
    # The second node was at work, as its lost worker shows; whether it ends a cell after that is chance.
    assert any((tmp_path / "node0" / "runs" / "cells").iterdir())

    again = begun(tmp_path / "spread", *PLAN, "--data", isic_tree, "--engine", "ray", "--address", two_nodes)
    assert "Nothing to do: all 4 cells are done" in again.communicate()[0]


def test_an_engine_that_cannot_be_used_is_one_line(tmp_path):
    nobody = f"127.0.0.1:{free_port()}"
    for words, expected in {
        ("--engine", "rey"): "unknown engine 'rey'; nearest: ray",
        ("--cells-per-gpu", "2"): "--address and --cells-per-gpu need --engine ray",
        ("--engine", "ray", "--address", nobody): f"--address {nobody}: nothing answers there",
    }.items():
        assert expected in refused(call(tmp_path, "run", *words))


def test_without_ray_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "benchmark.execution.ray", raising=False)  # another test may have loaded it
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it was not installed
    line = refused(call(tmp_path, "run", "--engine", "ray"))
    assert "--engine ray: ray is not installed; `python -m pip install ray`" in line
