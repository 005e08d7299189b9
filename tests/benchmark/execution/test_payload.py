"""A job that travels keeps its keys on whatever machine; what it leaves behind comes back whole."""

import pickle
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from architectures import Architecture
from benchmark.baselines import CONSTANT
from benchmark.baselines.score import list_parts, part_file, score_baseline
from benchmark.config.presets import QUICK
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from benchmark.execution.artifacts import ArtifactBundle, collect_artifacts, restore_artifacts
from benchmark.execution.payload import PayloadBuilder, deserialize_job, deserialize_part
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.registry import entries, select
from benchmark.saliency import Method
from benchmark.training.checkpoint import save_model


@pytest.fixture
def job(own_folders, isic_tree) -> Job:
    """Fine-tuning of a model that begins with a file of weights, on a GPU that this machine may lack."""
    torch.manual_seed(0)
    save_model(entries(Architecture)["mobilenet_v2"].build(2), own_folders / "weights" / "mobilenet_v2.safetensors")
    preset = replace(QUICK, weights=str(own_folders / "weights"), regimes=("standard", "robust-finetune"))
    first, second = build_grid(preset, ["mobilenet_v2"], [], [])
    data = prepare_dataset(load_index(Source(directory=isic_tree)), preset)
    begun = Job(cell=first, data=data, preset=preset, device=torch.device("cuda"), bfloat16=True)
    return replace(begun, cell=second, init_job=begun)


def sent(job: Job):
    """The payload as a worker gets it, and what it was given to keep."""
    laid_down = []
    builder = PayloadBuilder(lambda thing: laid_down.append(pickle.dumps(thing)) or len(laid_down) - 1)
    payload = pickle.loads(pickle.dumps(builder.build(job)))
    return payload, laid_down


def test_a_job_has_the_same_keys_where_nothing_of_the_driver_is_at_hand(job, own_folders, monkeypatch):
    payload, laid_down = sent(job)
    assert len(laid_down) == 2  # the data and the weights, once each
    told = job.key, job.model_key, job.init_job.model_key, job.protocol
    shutil.rmtree(own_folders / "weights")
    monkeypatch.setenv("LOUPE_RUNS", str(own_folders / "worker"))
    there = deserialize_job(payload, lambda reference: pickle.loads(laid_down[reference]))
    assert (there.key, there.model_key, there.init_job.model_key, there.protocol) == told
    assert there.settings.bfloat16
    assert there.directory.is_relative_to(own_folders / "worker")
    assert there.init_job.weights_path.is_relative_to(own_folders / "worker")
    assert np.array_equal(there.data.images, job.data.images)
    assert there.cell.architecture is job.cell.architecture


def test_a_worker_with_other_code_refuses(job):
    payload, laid_down = sent(job)
    with pytest.raises(UserError, match="code or packages differ"):
        deserialize_job(replace(payload, key="0" * 16), lambda reference: pickle.loads(laid_down[reference]))


def test_the_baselines_of_a_table_travel_and_come_back_under_the_same_keys(job, own_folders, monkeypatch):
    parts = list_parts([job.cell.architecture], select(Method, job.preset.methods), job.preset.image_size, "none")
    laid_down = []
    builder = PayloadBuilder(lambda thing: laid_down.append(thing) or len(laid_down) - 1)
    sent_out = pickle.loads(pickle.dumps([builder.build_part(part, job) for part in parts]))
    assert len(laid_down) == 1  # the data
    assert [deserialize_part(payload) for payload in sent_out] == parts
    constant = next(payload for payload in sent_out if payload.baseline == CONSTANT)
    monkeypatch.setenv("LOUPE_RUNS", str(own_folders / "worker"))
    there = score_baseline(deserialize_part(constant), job.data, torch.device("cpu"), constant.protocol)
    parcel = collect_artifacts([there], 1.0)
    monkeypatch.setenv("LOUPE_RUNS", str(own_folders / "runs"))
    restore_artifacts(parcel)
    assert part_file(deserialize_part(constant), job.protocol).read_bytes() == there.read_bytes()
    with pytest.raises(UserError, match="code differs"):
        deserialize_part(replace(constant, key="0" * 16))


def test_bfloat16_is_asked_here_only_if_nobody_has_told(job, monkeypatch):
    monkeypatch.setattr("benchmark.experiments.job.prefers_bfloat16", lambda _: pytest.fail("asked"))
    assert job.settings.bfloat16
    assert not replace(job, bfloat16=False).settings.bfloat16
    with pytest.raises(pytest.fail.Exception):
        _ = replace(job, bfloat16=None).settings


def test_what_arrives_appears_whole_and_what_is_there_stays(own_folders):
    (own_folders / "runs" / "maps").mkdir(parents=True)
    (own_folders / "runs" / "maps" / "a.npy").write_bytes(b"old")
    content = {"cells/k": {"record.json": b"r", "scores.parquet": b"s"}, "maps/a.npy": b"new", "models/m": {"w": b"w"}}
    restore_artifacts(ArtifactBundle(seconds=1.0, content=content))
    found = {
        path.relative_to(own_folders / "runs"): path for path in (own_folders / "runs").rglob("*") if path.is_file()
    }
    contents = {str(name): path.read_bytes() for name, path in found.items()}
    assert contents == {
        "cells/k/record.json": b"r",
        "cells/k/scores.parquet": b"s",
        "maps/a.npy": b"old",
        "models/m/w": b"w",
    }


def test_the_cell_is_the_last_to_arrive(own_folders, monkeypatch):
    """Else a driver that is stopped meanwhile would take a part of it for the whole."""
    written = []
    monkeypatch.setattr("benchmark.execution.artifacts.cached_file", lambda path: written.append(path) or _stopped())
    with pytest.raises(KeyboardInterrupt):
        restore_artifacts(ArtifactBundle(seconds=1.0, content={"cells/k": {"record.json": b"r"}, "maps/a.npy": b"m"}))
    assert written == [own_folders / "runs" / "maps" / "a.npy"]
    assert not (own_folders / "runs" / "cells").exists()


def _stopped() -> SimpleNamespace:
    raise KeyboardInterrupt
