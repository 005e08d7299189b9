"""A record says what was done: stages, weights, split, look-alikes, and the time of the training itself."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from benchmark.config.presets import QUICK
from benchmark.data.load import Source
from benchmark.experiments import run as running
from benchmark.experiments.build_record import _seconds, build_provenance
from benchmark.experiments.grid import build_grid
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Training

CONSOLE = Console(quiet=True)


@pytest.fixture
def request_of(own_folders, isic_tree):
    """A run that pre-trains on another set, then trains a regime that starts from another one."""
    weights = own_folders / "trunks" / "mobilenet.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    preset = replace(QUICK, weights=str(weights.parent), regimes=("robust-finetune",))
    clinic = shutil.copytree(isic_tree, own_folders / "clinic")
    return RunRequest(
        preset=preset,
        source=Source(directory=isic_tree),
        cells=build_grid(preset, ["mobilenet"], [], []),
        device=torch.device("cpu"),
        bfloat16=False,
        pretraining=Source(directory=clinic),
    )


def test_stages_and_weights_are_those_of_the_training(request_of, own_folders, isic_tree):
    (job,) = build_jobs(request_of, CONSOLE)
    told = build_provenance(job)
    assert told.weights == "trunks/mobilenet.safetensors"
    assert told.weights_sha256 == file_digest(own_folders / "trunks" / "mobilenet.safetensors")
    stages = [(stage.dataset, stage.regime, stage.train) for stage in told.stages]
    assert stages == [("clinic", "standard", 24), ("tiny-isic", "pgd-l2", 16)]
    assert (told.split, told.near_duplicates) == ("drawn", None)
    assert told.options == ("--data", str(isic_tree), "--pretrain", str(own_folders / "clinic"), "--device", "cpu")


def test_without_stages_there_are_none(request_of):
    (job,) = build_jobs(
        replace(
            request_of,
            pretraining=None,
            preset=replace(request_of.preset, weights="random"),
            cells=build_grid(QUICK, ["mobilenet"], ["standard"], []),
        ),
        CONSOLE,
    )
    told = build_provenance(job)
    assert (told.weights, told.weights_sha256, told.stages) == ("random", "", ())


def test_each_look_alike_image_counts_once_and_reaches_the_record(request_of, monkeypatch):
    jobs = build_jobs(request_of, CONSOLE)
    monkeypatch.setattr(running, "leaks", lambda *_: [("a", "x"), ("b", "x"), ("a", "y")])
    ran = []
    monkeypatch.setattr(running, "run_jobs", lambda given, *_: ran.extend(given) or [])
    running.run_benchmark(jobs, CONSOLE, None)
    assert [build_provenance(job).near_duplicates for job in ran] == [2]


def test_the_time_is_that_of_the_training_and_not_of_a_cached_model():
    training = Training(sha256="", losses=[1.0], validation=[], best=1, micro_batch=1, stopped=False, seconds=90.0)
    outcome = SimpleNamespace(training=training, timestamps={"start": 0.0, "train": 0.2, "diagnose": 1.2})
    assert _seconds(outcome) == {"train": 90.0, "diagnose": 1.0}
    outcome.training = training.model_copy(update={"seconds": None})
    assert _seconds(outcome) == {"diagnose": 1.0}
