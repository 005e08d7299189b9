"""Training alone shows each model and stores why one failed, as a whole run does."""

import io
from dataclasses import replace
from types import SimpleNamespace

import torch

from benchmark.config.presets import QUICK
from benchmark.experiments import train_only
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import job_model_dir
from benchmark.runtime.terminal import Terminal
from benchmark.storage.files import write_text
from benchmark.storage.record import Training

HISTORY = Training(sha256="", losses=[2.0, 1.0], validation=[2.0, 1.0], best=2, micro_batch=8, stopped=False)


def test_a_failed_training_leaves_its_traceback_and_the_next_model_is_trained(own_folders, monkeypatch):  # noqa: ARG001
    cells = build_grid(QUICK, ["mobilenet"], ["standard"], [0, 1])
    data = SimpleNamespace(key="d")
    first = Job(cell=cells[0], data=data, preset=QUICK, device=torch.device("cpu"), bfloat16=False)

    def train(job, _report):
        if job.cell.seed == 0:
            raise ValueError("an [odd] loss")
        write_text(job_model_dir(job) / "training.json", HISTORY.model_dump_json())

    monkeypatch.setattr(train_only, "train_or_load", train)
    console = Terminal(file=io.StringIO(), width=200)
    jobs = [first, replace(first, cell=cells[1])]
    (failure,) = train_only.train_models(jobs, console)
    assert (failure.cell, failure.reason) == ("mobilenet/standard/0", "ValueError: an [odd] loss")
    assert "in train" in failure.traceback.read_text(encoding="utf-8")
    shown = console.file.getvalue()
    assert "failed mobilenet/standard/0: ValueError: an [odd] loss" in shown
    assert "2/2  mobilenet/standard/1" in shown
    assert "epoch 2 of 2" in shown
