"""What stands for a table: stages on the same data do not part its rows, other data does."""

from dataclasses import replace
from types import SimpleNamespace

import torch

from benchmark.job import Job
from benchmark.plan import plan
from benchmark.presets import QUICK


def test_a_regime_that_starts_from_another_stands_in_the_same_table():
    preset = replace(QUICK, regimes=("standard", "robust-finetune"))
    cells = plan(preset, ["mobilenet"], [], [])
    jobs = [Job(cell=cell, data=SimpleNamespace(key="d"), preset=preset, device=torch.device("cpu")) for cell in cells]
    robust = replace(jobs[1], start=jobs[0])
    assert robust.pretraining is None
    assert robust.protocol == jobs[0].protocol
    assert robust.model_key != jobs[1].model_key
    clinic = SimpleNamespace(key="clinic")
    first = replace(jobs[0], data=clinic)
    staged = replace(robust, start=replace(jobs[0], start=first))
    assert staged.pretraining is clinic
    assert staged.protocol == replace(jobs[0], start=first).protocol != jobs[0].protocol
