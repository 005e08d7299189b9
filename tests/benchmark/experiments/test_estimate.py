"""How long a plan will take, judged by records."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.config.presets import QUICK
from benchmark.experiments.estimate import build_reference, estimate_seconds, forecast, order_by_cost
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.storage.paths import ROOT
from benchmark.storage.record import Record, load_record
from tests.committed import unnamed_content

SECONDS = {"train": 30.0, "diagnose": 6.0, "explain and score": 4.0}


@pytest.fixture
def content(own_folders, monkeypatch):
    """A record of a training on the CPU, put where results lie. Nothing is committed."""
    monkeypatch.setattr("benchmark.experiments.estimate.ROOT", own_folders / "checkout")
    record = unnamed_content("mobilenet/standard") | {"seconds": SECONDS}
    record["environment"]["device"] = "cpu"
    record["training"]["seconds"] = SECONDS["train"]
    write(own_folders, record)
    (own_folders / "results" / "dermsynth" / "quick" / "records" / "damaged.json").write_text("{", encoding="utf-8")
    return record


def write(folder, record, name="mobilenet-standard-0"):
    """Writes a record into the table of the data set."""
    path = folder / "results" / "dermsynth" / "quick" / "records" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")


def data_of(train, test, validation=0, key="d"):
    """A data set with given numbers of images."""
    counts = {"train": range(train), "test": range(test), "validation": range(validation)}
    return SimpleNamespace(key=key, train=counts["train"], test=counts["test"], rows=counts.get)


def jobs(content, *regimes, images=1, side=1, **changes):
    """Cells like the record's, with so many times the images and the side."""
    data = data_of(*(content["images"][split] * images for split in ("train", "test")))
    epochs = len(content["training"]["losses"])
    size = content["settings"]["preset"]["image_size"] * side
    preset = replace(QUICK, **{"epochs": epochs, "image_size": size} | changes)
    cells = build_grid(preset, ["mobilenet"], regimes, [0])
    return [Job(cell=cell, data=data, preset=preset, device=torch.device("cpu")) for cell in cells]


def test_a_cell_like_the_record_takes_as_long(content):
    found = forecast(jobs(content, "standard"))
    assert found.seconds == pytest.approx(sum(SECONDS.values()))
    side, test = content["settings"]["preset"]["image_size"], content["images"]["test"]
    assert found.bytes == content["parameters"] * 4 + 2 * test * side**2 * 2
    assert found.unknown == ()


def test_time_grows_with_images_pixels_and_the_cost_of_the_regime(content):
    train, diagnose, explain = SECONDS.values()
    assert forecast(jobs(content, "standard", side=2)).seconds == pytest.approx(4 * sum(SECONDS.values()))
    # Twelve epochs of 3 or 17 passes, and one for BatchNorm.
    assert forecast(jobs(content, "pgd-l2")).seconds == pytest.approx(
        train * (12 * 17 + 1) / (12 * 3 + 1) + diagnose + explain
    )
    # As many images are attacked and perturbed. 82 images: 13 predictions each, 40 of them attacked with two losses of
    # five steps and a check, two passes each. Two methods: two passes of each image, six curves of nine of 20 images.
    assert forecast(jobs(content, "standard", images=3)).seconds == pytest.approx(
        train * 3
        + diagnose * (3 * 82 * 13 + 40 * 2 * 6 * 2) / (82 * 13 + 40 * 2 * 6 * 2)
        + explain * (3 * 82 * 2 + 20 * 6 * 9) / (82 * 2 + 20 * 6 * 9)
    )


def test_most_epochs_of_a_training_at_two_sizes_are_small(content):
    """18 epochs, of which four at 224 px after 14 at 128 px, as in the preset medium; the record has 12 at 96 px."""
    (job,) = jobs(content, "standard", epochs=18, image_size=224, small_size=128, full_size_epochs=4)
    scoring = forecast(jobs(content, "standard", epochs=12, image_size=224)).seconds - 30 * 224**2 / 96**2
    # (14 * 16,384 + 4 * 50,176) * 3 + 50,176 = 1,340,416 against (12 * 3 + 1) * 9,216 = 340,992 pixels an image.
    assert forecast([job]).seconds - scoring == pytest.approx(30 * 1_340_416 / 340_992)


def test_validation_costs_a_pass_of_each_image_in_each_epoch(content):
    (job,) = jobs(content, "standard")
    (same,) = jobs(content, "standard")
    validated = replace(same, data=data_of(158, 82, validation=79))
    more = forecast([validated]).seconds - forecast([job]).seconds
    assert more == pytest.approx(30 * 79 * 12 / (158 * (12 * 3 + 1)))


def test_one_slow_record_of_several_decides_nothing(content, own_folders):
    """On a machine with other work, an epoch of VGG16 took fifteen times as long. The longest training decided."""
    for index, factor in enumerate((1.1, 15.0)):
        slow = {name: seconds * factor for name, seconds in SECONDS.items()}
        write(own_folders, content | {"seconds": slow, "key": f"{index:016x}"}, f"mobilenet-standard-{index + 1}")
    assert forecast(jobs(content, "standard")).seconds == pytest.approx(1.1 * sum(SECONDS.values()))


def test_a_copy_of_a_record_counts_once(content, own_folders):
    write(own_folders, content | {"seconds": {name: 3 * seconds for name, seconds in SECONDS.items()}, "key": "1" * 16})
    for number in (1, 2, 3):
        write(own_folders, content, f"copy-{number}")
    assert forecast(jobs(content, "standard")).seconds == pytest.approx(2 * sum(SECONDS.values()))


def test_time_of_loading_is_no_time_of_a_stage(content, own_folders):
    """Where the predictions were cached, an older record has the time of loading in place of the training's."""
    older = content["training"] | {"seconds": None}
    write(own_folders, content | {"training": older, "seconds": SECONDS | {"train": 0.1, "diagnose": 0.01}})
    assert forecast(jobs(content, "standard")).unknown == ("mobilenet/standard/0",)
    write(own_folders, content | {"seconds": SECONDS | {"diagnose": 0.01}})
    as_fast = 4 * (82 * 13 + 40 * 2 * 6 * 2) / (2 * (82 * 2 + 20 * 6 * 9))
    assert forecast(jobs(content, "standard")).seconds == pytest.approx(30 + 4 + as_fast)


def test_from_two_records_of_this_machine_on_those_of_others_do_not_count(content):
    reference = build_reference(Record.model_validate(content))
    own = [replace(reference, machine=("here",), rates={"train": rate}) for rate in (2.0, 4.0)]
    others = [replace(reference, machine=("there",), rates={"train": 100.0})] * 3
    assert estimate_seconds("train", 10.0, own + others, ("here",)) == 30.0
    assert estimate_seconds("train", 10.0, own[:1] + others, ("here",)) == 1000.0


def test_the_other_committed_records_estimate_nearly_all_cells_within_a_factor_of_three():
    """`--dry-run` says so. Of each cell, the stages count that it computed."""
    records = [load_record(path) for path in sorted((ROOT / "results").glob("*/*/records/[!.]*.json"))]
    known = [(record, build_reference(record)) for record in records if record.external_maps is None]
    factors = []
    for record, reference in known:
        weights = record.training.sha256
        others = [other for r, other in known if r.architecture == record.architecture and r.training.sha256 != weights]
        if "train" in reference.rates and any("train" in other.rates for other in others):
            pairs = [
                (estimate_seconds(stage, reference.work[stage], others, reference.machine), record.seconds[stage])
                for stage in reference.rates
            ]
            estimated, actual = map(sum, zip(*pairs, strict=True))
            factors.append(max(estimated / actual, actual / estimated))
    assert len(factors) > 20
    assert np.mean(np.array(factors) <= 3) >= 0.9
    assert np.median(factors) < 1.5


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
    data = data_of(158, 82, key=key)
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
    own = content | {"protocol": jobs[0].protocol, "seconds": SECONDS | {"train": 1e6}}
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
