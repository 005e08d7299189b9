"""Options of `run`: each counts once, and what cannot work is refused before any work."""

import os
import resource
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from benchmark.__main__ import app
from benchmark.cli import run as cli_run
from benchmark.config.presets import QUICK, STUDY
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from benchmark.experiments import jobs as jobs_module
from benchmark.experiments import storage_check
from benchmark.storage import files as store
from benchmark.storage.results import results_dir
from benchmark.storage.runs import runs_dir
from tests.conftest import write_picture

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def requested(monkeypatch):
    """The requests that `run` would work on, which stops there."""
    requests = []

    class StoppedError(Exception):
        pass

    def stop(request, _console):
        requests.append(request)
        raise StoppedError

    monkeypatch.setattr(jobs_module, "build_jobs", stop)

    def ask(*words):
        outcome = CliRunner().invoke(app, ["run", "--device", "cpu", *words])
        if not isinstance(outcome.exception, StoppedError):
            raise outcome.exception
        return requests[-1]

    return ask


def test_a_repeated_option_counts_once(requested):
    twice = {"method": "grad-cam", "metric": "roc-auc", "eps": "1", "seed": "1", "regime": "standard"}
    words = [word for name, value in twice.items() for word in [f"--{name}", value] * 2]
    request = requested(*words, *["--architecture", "resnet50"] * 2, "--method", "gradient", "--eps", "0.5")
    assert request.preset.methods == ("grad-cam", "gradient")
    assert request.preset.metrics == ("roc-auc",)
    assert request.preset.attack_eps == (0.5, 1)
    assert len(request.cells) == 1


def test_a_label_names_the_cells_and_must_fit_into_a_file_name(requested):
    assert requested("--name", "two-epochs", "--architecture", "resnet50", "--regime", "standard").cells[0].name == (
        "resnet50/standard+two-epochs/0"
    )
    for label in ("Two", "a/b", "a+b", "-a", "a" * 41):
        with pytest.raises(UserError, match="--name"):
            requested("--name", label)


@pytest.mark.parametrize(
    "words",
    [("--seed", str(2**63)), ("--epochs", str(10**18)), ("--batch-size", str(10**12)), ("--image-size", "100000")],
)
def test_numbers_beyond_reason_are_refused_by_the_name_of_their_option(words):
    outcome = CliRunner().invoke(app, ["run", *words])
    assert outcome.exit_code == 2
    assert words[0] in outcome.output


def test_options_without_effect_are_refused(requested, tmp_path):
    table = tmp_path / "map.csv"
    for words in (("--class-map", str(table)), ("--image-dir", str(tmp_path)), ("--layout", "folder")):
        with pytest.raises(UserError, match=f"{words[0]} has no effect without"):
            requested(*words)
    with pytest.raises(UserError, match="sends no entries"):
        requested("--engine", "ray", "--entries", str(tmp_path))


def test_an_empty_variable_means_the_usual_directory(monkeypatch):
    monkeypatch.setenv("LOUPE_RUNS", "")
    monkeypatch.setenv("LOUPE_RESULTS", "")
    assert (runs_dir().name, results_dir().name) == ("runs", "results")
    assert runs_dir().is_absolute()


def test_the_remedy_for_missing_autoattack_is_an_option_that_exists(monkeypatch):
    def missing(_name):
        raise ModuleNotFoundError

    monkeypatch.setattr("benchmark.attacks.autoattack.import_module", missing)
    request = SimpleNamespace(log=None, class_map=None, cells=(), preset=replace(QUICK, autoattack=True))
    with pytest.raises(UserError, match=r"^--autoattack: .*github.*leave it out$"):
        jobs_module._check(request)


def test_a_directory_that_cannot_be_written_is_refused_at_the_start_and_nothing_is_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written .*LOUPE_RESULTS"):
        store.require_writable(tmp_path / "file" / "made", "LOUPE_RESULTS")
    store.require_writable(tmp_path / "a" / "b", "LOUPE_RESULTS")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_free_space_is_compared_with_the_estimate(monkeypatch):
    jobs = [SimpleNamespace(data=SimpleNamespace(name="made"), preset=QUICK)]
    monkeypatch.setattr(storage_check, "forecast", lambda _jobs: SimpleNamespace(bytes=10**18))
    with pytest.raises(UserError, match=r"the run needs about .*LOUPE_RUNS"):
        storage_check.check_storage(jobs)
    monkeypatch.setattr(storage_check, "forecast", lambda _jobs: SimpleNamespace(bytes=1))
    storage_check.check_storage(jobs)


@pytest.fixture
def small_files():
    """No file may be larger than 8 KB: what a full disk does, as far as a library notices."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def writers():
    def numpy(path: Path):
        with path.open("wb") as file:
            np.save(file, np.zeros(100_000))

    def plain(path: Path):
        path.write_bytes(os.urandom(100_000))

    def torch_save(path: Path):
        torch.save(torch.zeros(100_000), path)

    return [numpy, plain, torch_save]


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("write", writers(), ids=lambda write: write.__name__)
def test_a_full_disk_is_named_with_its_directory_and_variable(write):
    target = runs_dir() / "maps" / "m.npy"
    line = r"runs/maps cannot be written \(the disk is full\); .* with LOUPE_RUNS"
    with pytest.raises(UserError, match=line), store.atomic_file(target) as temporary:
        write(temporary)
    assert not list(target.parent.iterdir())


def test_a_stopped_run_says_how_far_it_came(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.experiments.run.run_benchmark", interrupted)
    jobs = [SimpleNamespace(done=number < 3) for number in range(22)]
    with pytest.raises(cli_run.typer.Exit) as stopped:
        cli_run._run_jobs(jobs, None, embedded=True)
    assert stopped.value.exit_code == 130
    assert "stopped after 3 of 22 cells; the same command continues" in capsys.readouterr().out


def tree(root: Path, counts: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        for number in range(count):
            write_picture(
                root / "images" / name / f"{name}{number}.png", rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            )
    return root


def test_a_class_that_has_enough_images_gets_enough_of_them_below_the_limit(tmp_path):
    root = tree(tmp_path / "rare", {"common": 400, "rare": 14})
    preset = replace(STUDY, limit=100, image_size=16)
    data = prepare_dataset(load_index(Source(directory=root)), preset)
    counts = data.samples.groupby("label")["split"].value_counts()
    assert counts[1].to_dict().keys() == {"train", "validation", "test"}
    assert counts[1].sum() == 12


def test_more_images_than_the_limit_are_announced(tmp_path, capsys):
    root = tree(tmp_path / "few", {"a": 20, "b": 20})
    request = jobs_module.RunRequest(
        preset=replace(QUICK, limit=1, image_size=16),
        source=Source(directory=root),
        cells=[],
        device=torch.device("cpu"),
        bfloat16=False,
    )
    jobs_module.build_jobs(request, Console())
    assert "--limit 1: 6 images are used" in capsys.readouterr().out


def test_a_saliency_layer_that_runs_twice_is_refused_before_the_training(monkeypatch):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.layer(self.layer(x)).mean(dim=(2, 3))

    entry = SimpleNamespace(name="twice", target_layer="layer", build=lambda _classes: Twice())
    monkeypatch.setattr(jobs_module, "is_external", lambda _entry: True)
    with pytest.raises(UserError, match=r"twice: layer 'layer' runs 2 times"):
        jobs_module._check_target_layers([SimpleNamespace(architecture=entry)], 3)
    entry.target_layer = "absent"
    with pytest.raises(UserError, match=r"runs 0 times"):
        jobs_module._check_target_layers([SimpleNamespace(architecture=entry)], 3)
