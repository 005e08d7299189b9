"""How long a plan will take, judged by records."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmark.config.presets import QUICK
from benchmark.experiments.estimate import forecast, order_by_cost
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.storage.paths import ROOT

COMMITTED = ROOT / "results" / "dermsynth" / "quick" / "records"


@pytest.fixture
def content(own_folders):
    """A committed record on the CPU, put where results lie."""
    record = json.loads((COMMITTED / "mobilenet-standard-0.json").read_text(encoding="utf-8"))
    record["environment"]["device"] = "cpu"
    target = own_folders / "results" / "dermsynth" / "quick" / "records" / "mobilenet-standard-0.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(record), encoding="utf-8")
    (target.parent / "damaged.json").write_text("{", encoding="utf-8")
    return record


def jobs(content, *regimes, images=1, side=1):
    """Cells like the record's, with so many times the images and the side."""
    counts = {split: range(content["images"][split] * images) for split in ("train", "test")}
    data = SimpleNamespace(key="d", **counts)
    epochs = len(content["training"]["losses"])
    preset = replace(QUICK, epochs=epochs, image_size=content["settings"]["preset"]["image_size"] * side)
    cells = build_grid(preset, ["mobilenet"], regimes, [0])
    return [Job(cell=cell, data=data, preset=preset, device=torch.device("cpu")) for cell in cells]


def test_a_cell_like_the_record_takes_as_long(content):
    found = forecast(jobs(content, "standard"))
    assert found.seconds == pytest.approx(sum(content["seconds"].values()))
    side, test = content["settings"]["preset"]["image_size"], content["images"]["test"]
    assert found.bytes == content["parameters"] * 4 + 2 * test * side**2 * 2
    assert found.unknown == ()


def test_time_grows_with_images_pixels_and_the_cost_of_the_regime(content):
    train, rest = content["seconds"]["train"], sum(content["seconds"].values()) - content["seconds"]["train"]
    assert forecast(jobs(content, "standard", images=3)).seconds == pytest.approx(3 * (train + rest))
    assert forecast(jobs(content, "standard", side=2)).seconds == pytest.approx(4 * (train + rest))
    assert forecast(jobs(content, "pgd-l2")).seconds == pytest.approx(train * 17 / 3 + rest)


def test_a_stage_that_two_cells_begin_with_is_counted_once(content):
    base, finetune, stem = jobs(content, "pgd-l2", "robust-finetune", "robust-stem")
    plan_of_three = [base, replace(finetune, init_job=base), replace(stem, init_job=base)]
    alone = [forecast([job]).seconds for job in (base, finetune, stem)]
    assert forecast(plan_of_three).seconds == pytest.approx(sum(alone))


def test_without_a_record_nothing_is_claimed(content):
    vgg = replace(jobs(content, "standard")[0], cell=build_grid(QUICK, ["vgg16"], ["standard"], [0])[0])
    found = forecast([vgg])
    assert (found.seconds, found.bytes, found.unknown) == (0.0, 0, ("vgg16/standard/0",))
    on_gpu = replace(jobs(content, "standard")[0], device=SimpleNamespace(type="cuda"))
    assert forecast([on_gpu]).unknown == ("mobilenet/standard/0",)


def cells_of(*architectures, regimes=("standard",), key="d"):
    data = SimpleNamespace(key=key, train=range(158), test=range(82))
    cells = build_grid(QUICK, architectures, regimes, [0])
    return [Job(cell=cell, data=data, preset=QUICK, device=torch.device("cpu"), bfloat16=False) for cell in cells]


@pytest.mark.usefixtures("own_folders")
def test_the_cheapest_cell_runs_first_without_a_record_of_the_user():
    jobs = cells_of("vgg16", "xception", "mobilenet", regimes=("standard", "adversarial"))
    names = [job.cell.name for job in order_by_cost(jobs)]
    assert names[:2] == ["mobilenet/standard/0", "mobilenet/adversarial/0"]
    assert names == [job.cell.name for job in order_by_cost(jobs[::-1])]


def test_records_of_the_table_itself_do_not_change_the_order_of_a_run_that_continues(content, own_folders, monkeypatch):
    monkeypatch.setattr("benchmark.experiments.estimate.QUICK", replace(QUICK, name="none"))
    jobs = cells_of("xception", "mobilenet")
    own = content | {"protocol": jobs[0].protocol, "seconds": {"train": 1e6, "diagnose": 0.0}}
    path = own_folders / "results" / "made" / "quick" / "records" / "mobilenet-standard-0.json"
    path.parent.mkdir(parents=True)
    for file in path.parents[3].glob("dermsynth/quick/records/*.json"):
        file.unlink()
    path.write_text(json.dumps(own), encoding="utf-8")
    assert order_by_cost(jobs)[0].cell.architecture.name == "xception"
    path.write_text(json.dumps(own | {"protocol": "other"}), encoding="utf-8")
    assert order_by_cost(jobs)[0].cell.architecture.name == "mobilenet"


@pytest.mark.usefixtures("own_folders")
def test_cells_without_an_estimate_come_last_in_their_order():
    (known,) = cells_of("vgg16")
    others = [replace(known.cell, architecture=replace(known.cell.architecture, name=name)) for name in "ba"]
    jobs = [*(replace(known, cell=cell) for cell in others), known]
    assert [job.cell.architecture.name for job in order_by_cost(jobs)] == ["vgg16", "b", "a"]
