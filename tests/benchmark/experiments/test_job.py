"""What stands for a table: stages on the same data do not part its rows, other data does."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.config.presets import COMPILE_MODES, QUICK
from benchmark.errors import UserError
from benchmark.experiments.cell import _maps_file
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job, _settings_for_key
from benchmark.experiments.trained_model import load_split
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.saliency.gradient import GRADIENT
from benchmark.training.settings import Settings


def test_compiling_decides_the_weights_and_is_part_of_their_key_only_where_it_is_asked_for():
    cell = build_grid(QUICK, ["mobilenet"], ["standard"], [])[0]
    job = Job(cell=cell, data=SimpleNamespace(key="d"), preset=QUICK, device=torch.device("cpu"), bfloat16=False)
    told = {mode: replace(job, preset=replace(QUICK, compile=mode)).model_key for mode in (None, *COMPILE_MODES)}
    assert len(set(told.values())) == 3


def test_keys_use_the_words_of_the_first_day_for_every_setting_of_a_training():
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


def test_the_stride_of_the_grid_changes_maps_and_tables_and_never_the_model():
    cell = build_grid(QUICK, ["mobilenet"], ["standard"], [])[0]
    job = Job(cell=cell, data=SimpleNamespace(key="d"), preset=QUICK, device=torch.device("cpu"))
    fine = replace(job, preset=replace(QUICK, grid_stride=16))
    assert (job.target_layer, fine.target_layer) == ("body.blocks.4.1", "body.blocks.3.5")
    assert fine.model_key == job.model_key
    assert fine.protocol != job.protocol
    assert fine.attacks != job.attacks
    assert _maps_file(fine, GRAD_CAM) != _maps_file(job, GRAD_CAM)
    assert _maps_file(fine, GRADIENT) == _maps_file(job, GRADIENT)
    assert job.grid_settings == []


def test_a_stride_that_no_network_has_is_refused():
    with pytest.raises(ValueError, match="grid-stride 7: must be one of 8, 16, 32"):
        replace(QUICK, grid_stride=7)
    vit = replace(build_grid(QUICK, ["vit_tiny"], ["standard"], [])[0])
    job = Job(cell=vit, data=SimpleNamespace(key="d"), preset=replace(QUICK, grid_stride=8), device=torch.device("cpu"))
    with pytest.raises(UserError, match="--grid-stride 8: vit_tiny: no block has a grid of stride 8"):
        _ = job.target_layer
