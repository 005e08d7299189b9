"""What stands for a table: stages on the same data do not part its rows, other data does."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from benchmark.config.presets import COMPILE_MODES, QUICK
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job, _settings_for_key
from benchmark.experiments.trained_model import load_split
from benchmark.training.settings import Settings


def test_compiling_decides_the_weights_and_is_part_of_their_key_only_where_it_is_asked_for():
    cell = build_grid(QUICK, ["mobilenet"], ["standard"], [])[0]
    job = Job(cell=cell, data=SimpleNamespace(key="d"), preset=QUICK, device=torch.device("cpu"), bfloat16=False)
    told = {mode: replace(job, preset=replace(QUICK, compile=mode)).model_key for mode in (None, *COMPILE_MODES)}
    assert len(set(told.values())) == 3


def test_keys_use_the_settings_for_key_the_first_day_for_every_setting_of_a_training():
    settings = Settings(epochs=3, batch_size=16, learning_rate=1e-3, bfloat16=False, patience=4)
    words = {"epochs": 3, "batch": 16, "learning_rate": 1e-3, "bfloat16": False, "patience": 4, "clip": 5.0}
    assert _settings_for_key(settings) == words
    assert _settings_for_key(replace(settings, compile="default")) == words | {"compile": "default"}
    small = replace(settings, patience=0, small_size=64, full_size_epochs=1)
    sizes = {"patience": 0, "small_size": 64, "full_size_epochs": 1}
    assert _settings_for_key(small) == words | sizes
    assert len(fields(Settings)) == len(words) + 3


def test_a_regime_that_starts_from_another_stands_in_the_same_table():
    preset = replace(QUICK, regimes=("standard", "robust-finetune"))
    cells = build_grid(preset, ["mobilenet"], [], [])
    jobs = [Job(cell=cell, data=SimpleNamespace(key="d"), preset=preset, device=torch.device("cpu")) for cell in cells]
    robust = replace(jobs[1], init_job=jobs[0])
    assert robust.pretraining is None
    assert robust.protocol == jobs[0].protocol
    assert robust.model_key != jobs[1].model_key
    clinic = SimpleNamespace(key="clinic")
    first = replace(jobs[0], data=clinic)
    staged = replace(robust, init_job=replace(jobs[0], init_job=first))
    assert staged.pretraining is clinic
    assert staged.protocol == replace(jobs[0], init_job=first).protocol != jobs[0].protocol


def test_images_to_learn_from_stay_here_where_the_device_has_no_room_and_those_of_the_test_never(monkeypatch):
    data = SimpleNamespace(
        key="d",
        images=np.zeros((4, 8, 8, 3), np.uint8),
        samples=pd.DataFrame({"label": [0, 1, 0, 1]}),
        rows={"train": [0, 1], "test": [2, 3]}.__getitem__,
    )
    cell = build_grid(QUICK, ["mobilenet"], ["standard"], [])[0]
    job = Job(cell=cell, data=data, preset=QUICK, device=torch.device("meta"))
    for room, place in ((True, "meta"), (False, "cpu")):
        monkeypatch.setattr(
            "benchmark.experiments.trained_model.fits_in_memory",
            lambda _device, size, room=room: room and size == 2 * 8 * 8 * 3,
        )
        assert load_split(job, "train").images.device.type == place
        assert load_split(job, "train").device.type == load_split(job, "test").images.device.type == "meta"
