"""The tables of an unfinished run: soon, seldom enough, out of the way of other writers, and without a trace."""

from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import torch
from filelock import FileLock
from rich.console import Console

from architectures import Architecture
from benchmark.data.load import Source
from benchmark.execution.local import Local
from benchmark.experiments import interim as module
from benchmark.experiments import run as running
from benchmark.experiments.grid import Cell
from benchmark.experiments.interim import InterimTables
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.registry import registered, select
from benchmark.storage.lock import LOCK_FILE
from benchmark.storage.protocol import read_protocol
from benchmark.training.regimes import Regime
from metrics import Metric
from tests.benchmark.storage.fuzzing import METRICS, PRESET, TINY, write_data


class Observed(Local):
    """Runs the cells backwards if asked, and notes what the table shows at the beginning of each cell."""

    def __init__(self, directory, *, backwards=False):
        self.table, self.backwards, self.rows, self.cells = directory / "leaderboard.csv", backwards, [], []

    def run(self, jobs, observer):
        self.cells = [job.cell.name for job in jobs]
        report = observer.report

        def observed(job, stage, fraction):
            if stage == "begin":
                lines = self.table.read_text(encoding="utf-8").splitlines() if self.table.is_file() else []
                self.rows.append(sum("fuzzed," in line or "second," in line for line in lines))
            report(job, stage, fraction)

        observer.report = observed
        super().run(list(reversed(jobs)) if self.backwards else jobs, observer)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs two tiny cells in directories of their own, without figures and page."""
    monkeypatch.setattr("benchmark.experiments.job.select_metrics", lambda _: select(Metric, METRICS))
    for name in ("write_pictures", "remove_pictures"):
        monkeypatch.setattr(running, name, lambda *_: None)
    monkeypatch.setattr(running, "_count_near_duplicates", lambda *_: 0)
    monkeypatch.setattr("benchmark.leaderboard.build._draw_figures", lambda *_: [])
    monkeypatch.setattr("benchmark.leaderboard.build.page", lambda _: "")
    data = write_data(tmp_path / "tiny")
    entry_module = ModuleType("tiny_entries")
    entry_module.__file__ = __file__
    entry_module.FIRST, entry_module.SECOND = architectures = TINY, replace(TINY, name="second", quick_epochs=1)
    cells = [
        Cell(architecture=architecture, regime=select(Regime, ["standard"])[0], seed=0)
        for architecture in architectures
    ]
    request = RunRequest(
        preset=PRESET, source=Source(directory=data), cells=cells, device=torch.device("cpu"), bfloat16=False
    )

    def run_in(name, **options):
        monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / name / "runs"))
        monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / name / "results"))
        jobs = build_jobs(request, Console(quiet=True))
        engine = Observed(running.job_results_dir(jobs[0]), **options)
        directory, failures = running.run_benchmark(jobs, Console(quiet=True), engine)
        assert not failures
        return directory, engine

    with registered(Architecture, entry_module):
        yield run_in


def test_interim_tables_appear_after_the_first_cell_and_change_no_byte_in_any_order(run, monkeypatch):
    monkeypatch.setattr(module, "MAX_SHARE", 1e9)
    directory, engine = run("forwards")
    assert engine.rows == [0, 1]
    other, engine = run("backwards", backwards=True)
    assert engine.rows == [0, 1]
    monkeypatch.setattr(running.InterimTables, "update", lambda *_: None)
    plain, engine = run("plain")
    assert engine.rows == [0, 0]
    for name in ("leaderboard.csv", "pairs.csv", "contrasts.csv", "leaderboard.md", "baselines.parquet"):
        assert (directory / name).read_bytes() == (other / name).read_bytes() == (plain / name).read_bytes(), name
    assert len(read_protocol(directory)["in_tables"]) == 2


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Interim tables whose rebuild takes a second of a clock that the test sets."""
    clock = SimpleNamespace(now=0.0, rebuilt=[])

    def rebuild(_directory, *, draw):
        assert not draw
        clock.now += 1.0
        clock.rebuilt.append(clock.now)

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(module, "rebuild", rebuild)
    clock.published = []
    monkeypatch.setattr(module, "publish_cells", lambda jobs, *_: clock.published.append([job.name for job in jobs]))
    monkeypatch.setattr(module, "publish_baselines", lambda *_: None)
    clock.lines = []
    console = SimpleNamespace(print=clock.lines.append)
    jobs = [SimpleNamespace(name=name, done=name in {"earlier", "a"}) for name in ("earlier", "a", "b", "c", "d")]
    return InterimTables(jobs, tmp_path, console, pictures=True), jobs, clock


def test_a_rebuild_waits_until_the_last_one_took_a_small_share_of_the_time(tables):
    interim, (_, a, b, c, d), clock = tables
    for wait, job in ((0, a), (19, b), (0.5, c), (0.5, d)):
        clock.now += wait
        interim.update(job)
    assert clock.published == [["earlier", "a"], ["b", "c", "d"]]
    assert clock.rebuilt == [1.0, 22.0]
    assert len(clock.lines) == 1
    assert "leaderboard.md" in clock.lines[0]


def test_a_lock_of_another_process_delays_the_tables_and_not_the_cells(tables, tmp_path):
    interim, (_, a, b, *_), clock = tables
    with FileLock(tmp_path / LOCK_FILE, is_singleton=False):
        interim.update(a)
    assert clock.published == []
    interim.update(b)
    assert clock.rebuilt == [1.0]


def test_an_error_ends_the_interim_tables_and_not_the_run(tables, monkeypatch):
    interim, (_, a, b, *_), clock = tables

    def fail(_directory, **_):
        raise RuntimeError("no figures today")

    monkeypatch.setattr(module, "rebuild", fail)
    interim.update(a)
    interim.update(b)
    assert clock.lines == ["No tables before the end of the run: RuntimeError: no figures today"]
    assert len(clock.published) == 1
