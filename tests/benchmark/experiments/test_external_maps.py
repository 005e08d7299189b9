"""Maps from elsewhere become a row: in the same tables, ranked only where images, masks and protocol are the same."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from architectures import Architecture
from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.experiments import external_maps
from benchmark.experiments.cell import score_method_maps
from benchmark.experiments.external_cell import write_cell
from benchmark.experiments.external_maps import ScoreRequest, score_external_maps
from benchmark.leaderboard.analysis.summary import headline
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.registry import entries
from benchmark.runtime.tensors import on_device, predict
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.storage.files import write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.house import list_made
from benchmark.storage.record import load_record, write_record
from benchmark.submission.checks.report import check_record
from benchmark.training.checkpoint import load_weights, save_model
from datasets import DatasetIndex, Sample

SIDE = 24
MOBILENET = entries(Architecture)["mobilenet"]


@pytest.fixture
def request_(own_folders, isic_tree) -> ScoreRequest:
    """Maps of all images, brightest in the center, where the masks are."""
    directory = own_folders / "center"
    directory.mkdir()
    rows, columns = np.mgrid[-1:1:12j, -1:1:16j]
    for number in range(24):
        np.save(directory / f"ISIC_{number:07d}.npy", np.exp(-3 * (rows**2 + columns**2) + 0.01 * number * rows))
    return ScoreRequest(
        maps=directory,
        source=Source(directory=isic_tree),
        name="keras",
        method="lime",
        changes={"image_size": SIDE, "limit": None},
    )


def changed(request: ScoreRequest, **changes: object) -> ScoreRequest:
    fields = {name: getattr(request, name) for name in ScoreRequest.__dataclass_fields__}
    return ScoreRequest(**fields | changes)


def rows(directory: Path):
    (table,) = build_tables(read_results(directory))
    return {row.name: row for row in table.rows}, table


def test_maps_alone_become_a_row_beside_the_baselines(request_):
    scored = score_external_maps(request_)
    by_name, table = rows(scored.directory)
    row = by_name["keras"]
    assert scored.in_table
    assert (row.badge, row.title, row.rank) == (
        "maps only",
        "maps by lime",
        None,
    )  # nothing shows that its model beats chance
    assert row.estimates["map_f1"].value > by_name["constant 0.5"].estimates["map_f1"].value
    assert "balanced_accuracy" not in row.estimates  # nothing is known of the classification
    assert scored.record.external_maps.surplus == 24 - scored.record.images["test"]
    assert table.missing == ()
    assert "no predictions" in " ".join(scored.notes)
    assert "1 of 1 model, which came without predictions" in headline(table, [])[0]
    stored = load_record(next((scored.directory / "records").glob("*.json")))
    assert (stored.key, stored.external_maps) == (scored.record.key, scored.record.external_maps)


def test_check_accepts_maps_alone_and_refuses_those_that_pass_for_a_model(request_):
    scored = score_external_maps(request_)
    (path,) = (scored.directory / "records").glob("*.json")
    assert check_record(path).problems == []
    write_record(path, scored.record.model_copy(update={"badge": "verified", "regime": "standard"}))
    assert "regime 'standard' and methods" in " ".join(check_record(path).problems)
    maps = scored.record.external_maps.model_copy(update={"source": "<b>"})
    write_record(path, scored.record.model_copy(update={"external_maps": maps}))
    assert "holds markup" in " ".join(check_record(path).problems)


def test_an_unknown_meaning_of_negative_values_is_refused(request_):
    with pytest.raises(UserError, match="unknown --negative 'abs'; nearest: absolute"):
        score_external_maps(changed(request_, negative="abs"))


def test_predictions_add_the_classification(request_):
    names = [f"ISIC_{number:07d}" for number in range(24)]
    lines = [f"{name},{0.9 - 0.8 * (index % 2)},{0.1 + 0.8 * (index % 2)}" for index, name in enumerate(names)]
    path = request_.maps.parent / "predictions.csv"
    write_text(path, "\n".join(["image,benign,melanoma", *lines]))
    scored = score_external_maps(changed(request_, predictions=path))
    assert scored.record.classification["balanced accuracy"] == 1
    assert scored.record.classification["AUROC"] == 1
    by_name, _ = rows(scored.directory)
    assert by_name["keras"].rank == 1
    write_text(path, "image,predicted\n" + "\n".join(f"{name},benign" for name in names))
    scored = score_external_maps(changed(request_, predictions=path))
    assert scored.record.classification["balanced accuracy"] == 0.5
    assert "AUROC" not in scored.record.classification
    by_name, _ = rows(scored.directory)
    assert by_name["keras"].estimates["balanced_accuracy"].value == 0.5
    assert by_name["keras"].rank is None  # as without predictions: to hold them back does not pay


def test_a_second_row_is_in_the_table_of_the_first(request_):
    score_external_maps(request_)
    scored = score_external_maps(changed(request_, name="matlab", method="gradcam"))
    by_name, _ = rows(scored.directory)
    assert scored.in_table
    assert by_name["keras"].estimates["map_f1"].value == by_name["matlab"].estimates["map_f1"].value
    assert [by_name[name].rank for name in ("keras", "matlab")] == [None, None]


def test_other_images_are_apart(request_):
    score_external_maps(request_)
    scored = score_external_maps(changed(request_, name="small", changes={"limit": 18}))
    assert not scored.in_table
    assert "follows another protocol (limit None and 18), so the row is below its table, not ranked" in scored.notes[0]
    by_name, table = rows(scored.directory)
    assert "small" not in by_name
    assert [row.name for row in table.other_protocol_models] == ["small"]


@pytest.mark.parametrize("what", ["damaged", "negative", "another name"])
def test_a_bad_map_is_said_before_the_data_is_read(request_, what, monkeypatch):
    path = request_.maps / "ISIC_0000023.npy"
    message = {"damaged": "0023.npy cannot be read", "negative": "0023.npy has negative", "another name": "rename the"}
    if what == "damaged":
        path.write_bytes(path.read_bytes()[:-1])
    elif what == "negative":
        np.save(path, -np.load(path))
    else:
        for each in request_.maps.iterdir():
            each.rename(each.with_stem(each.stem.replace("ISIC_", "map")))

    def prepare(*_: object, **__: object) -> None:
        raise AssertionError("the data is read")

    monkeypatch.setattr(external_maps, "prepare_dataset", prepare)
    with pytest.raises(UserError, match=message[what]):
        score_external_maps(request_)


def test_a_bad_map_of_an_image_that_the_data_set_trains_on_hinders_nothing(request_):
    sides = {"ISIC_0000000": "train", "ISIC_0000001": "test"}
    samples = tuple(Sample(id=name, image=None, diagnosis="a", group="", split=side) for name, side in sides.items())
    index = DatasetIndex(name="made", layout="folder", root=request_.maps, samples=samples)
    np.save(request_.maps / "ISIC_0000000.npy", np.full((4, 4), -1.0))
    assert sides.keys() <= external_maps._collect(request_, index).locations.keys()
    np.save(request_.maps / "ISIC_0000001.npy", np.full((4, 4), -1.0))
    with pytest.raises(UserError, match=r"0001\.npy has negative values"):
        external_maps._collect(request_, index)


def test_a_bad_map_of_no_image_of_the_data_hinders_nothing(request_):
    np.save(request_.maps / "elsewhere.npy", np.full((4, 4), -1.0))
    scored = score_external_maps(request_)
    assert any(note.startswith("1 map is of no image of the data (elsewhere)") for note in scored.notes)


def test_maps_of_images_beyond_the_limit_have_no_wrong_name(request_):
    scored = score_external_maps(changed(request_, changes={"image_size": SIDE, "limit": 18}))
    assert scored.record.external_maps.surplus == 24 - scored.record.images["test"]
    assert f"{24 - scored.record.images['test']} maps are of images that are not in the test set" in str(scored.notes)
    assert not any("no image of the data" in note for note in scored.notes)


def test_missing_maps_are_refused_or_apart(request_):
    (test_image, *_) = score_external_maps(request_).record.summary and sorted(
        pd.read_parquet(next(request_.maps.parent.glob("results/*/*/records/*.predictions.parquet")))["image"]
    )
    (request_.maps / f"{test_image}.npy").unlink()
    with pytest.raises(UserError, match=rf"lacks the maps of 1 of \d+ test images \({test_image}\).*--allow-missing"):
        score_external_maps(request_)
    scored = score_external_maps(changed(request_, name="partial", allow_missing=True))
    assert not scored.in_table
    assert scored.record.external_maps.missing == 1


def test_maps_that_say_nothing_are_counted_and_named(request_):
    for number in range(24):
        value = np.nan if number % 2 else 0.5
        np.save(request_.maps / f"ISIC_{number:07d}.npy", np.full((8, 8), value))
    scored = score_external_maps(request_)
    maps = scored.record.external_maps
    assert maps.constant + maps.not_finite == scored.record.images["test"]
    assert any("not finite" in note for note in scored.notes)
    assert any("constant" in note for note in scored.notes)
    by_name, _ = rows(scored.directory)
    assert by_name["keras"].degenerate == scored.record.images["test"]


def test_the_map_of_the_predicted_class_is_scored(request_):
    names = [f"ISIC_{number:07d}" for number in range(24)]
    for kind in ("benign", "melanoma"):
        (request_.maps / kind).mkdir()
    for name in names:
        (request_.maps / f"{name}.npy").rename(request_.maps / "benign" / f"{name}.npy")
        np.save(request_.maps / "melanoma" / f"{name}.npy", np.ones((4, 4)))
    with pytest.raises(UserError, match="give --predictions"):
        score_external_maps(request_)
    path = request_.maps.parent / "predictions.csv"
    write_text(path, "image,predicted\n" + "\n".join(f"{name},melanoma" for name in names))
    scored = score_external_maps(changed(request_, predictions=path))
    assert scored.record.external_maps.constant == scored.record.images["test"]
    assert scored.record.external_maps.explained == "predicted"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "resnet50"}, "is an architecture of Loupe"),
        ({"name": "My Network"}, "--name 'My Network'"),
        ({"method": "../x"}, "--method"),
        ({"preset": "quik"}, "nearest: quick"),
        ({"maps": Path("missing")}, "does not exist"),
        ({"index": Path("index.csv")}, "--index"),
        ({"split": Path("missing.csv")}, "--split: missing.csv does not exist"),
        ({"predictions": Path("missing.csv")}, "--predictions: missing.csv does not exist"),
        ({"architecture": "mobilenet"}, "belong together"),
        (
            {"architecture": "mobilenet", "checkpoint": Path("missing.safetensors")},
            "missing.safetensors does not exist",
        ),
    ],
)
def test_wrong_options_are_refused_before_the_data_is_found(request_, change, message, monkeypatch):
    monkeypatch.setattr(external_maps, "load_index", None)
    with pytest.raises(UserError, match=message) as refused:
        score_external_maps(changed(request_, **change))
    assert "\n" not in str(refused.value)
    assert not (request_.maps.parent / "results").exists()


@pytest.fixture
def weights(tmp_path) -> Path:
    """A file of all weights of a network of two classes."""
    torch.manual_seed(0)
    save_model(MOBILENET.build(2), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def test_with_its_network_maps_get_the_scores_of_a_run(request_, weights, monkeypatch):
    """The network predicts, and insertion, deletion and faithfulness are those that a run computes."""
    steps = {"num_perturbed": 3, "perturbation_steps": 3}
    known = {"architecture": "mobilenet", "checkpoint": weights}
    jobs = []
    monkeypatch.setattr(external_maps, "write_cell", lambda cell, maps: jobs.append(cell) or write_cell(cell, maps))
    scored = score_external_maps(changed(request_, changes=request_.changes | steps, **known))
    (cell,) = jobs
    model = MOBILENET.build(2)
    load_weights(model, weights)
    (path,) = (scored.directory / "records").glob("*.json")
    frames = [pd.read_parquet(path.with_suffix(f".{name}.parquet")) for name in ("scores", "predictions")]
    images = on_device(cell.job.data.images[cell.job.data.test], torch.device("cpu"))
    torch.testing.assert_close(torch.tensor(frames[1][["p0", "p1"]].to_numpy()), predict(model.eval(), images))
    stored = np.load(next((request_.maps.parent / "runs").rglob("external-*.npy")))
    expected, _ = score_method_maps(cell.job, model, images, frames[1], maps=stored, method=GRAD_CAM)
    key = ["image", "metric", "level"]
    both = frames[0].merge(expected, on=key)
    curves = both[both["metric"].isin(["insertion", "deletion", "faithfulness"])]
    assert len(curves) == 3 * scored.record.images["perturbed"] == 9
    np.testing.assert_allclose(curves["value_x"], curves["value_y"], rtol=0, atol=1e-6)
    assert len(frames[0]) == len(both) == len(expected)
    maps = scored.record.external_maps
    assert (maps.network, maps.checkpoint, maps.predictions) == ("mobilenet", file_digest(weights), "probabilities")
    by_name, _ = rows(scored.directory)
    assert by_name["keras"].estimates["faithfulness"].images == 3
    assert check_record(path).problems == []


def test_a_network_that_does_not_fit_is_refused(request_, weights):
    def refused(**change):
        with pytest.raises(UserError) as error:
            score_external_maps(changed(request_, **{"architecture": "mobilenet", "checkpoint": weights} | change))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "belong together" in refused(checkpoint=None)
    assert "belong together" in refused(architecture=None)
    assert "nearest: mobilenet" in refused(architecture="mobilenett")
    assert "does not exist" in refused(checkpoint=Path("none.safetensors"))
    pickled = weights.with_suffix(".pth")
    pickled.write_bytes(b"")
    assert "convert it first: python -m benchmark convert" in refused(checkpoint=pickled)
    assert "not a readable safetensors file" in refused(checkpoint=pickled.rename(pickled.with_suffix(".safetensors")))
    assert "leave out one of them" in refused(predictions=pickled, checkpoint=weights)
    save_model(MOBILENET.build(3), weights)
    assert "another number of classes" in refused()
    assert not (request_.maps.parent / "results").exists()


PREDICTIONS = {
    "image,predicted\nISIC_0000000,benign": "has no row for",
    "image,other\n" + "\n".join(f"ISIC_{n:07d},1" for n in range(24)): "neither the column predicted",
    "image,predicted\n" + "\n".join(f"ISIC_{n:07d},benigm" for n in range(24)): "nearest: benign",
    "image,benign,melanoma\n" + "\n".join(f"ISIC_{n:07d},0.9,0.9" for n in range(24)): "add up to 1",
    "image,benign,melanoma\n" + "\n".join(f"ISIC_{n:07d},high,low" for n in range(24)): "not a number",
    "image,benign,melanoma\n" + "\n".join(f"ISIC_{n:07d},nan,nan" for n in range(24)): "add up to 1",
    "image,predicted\n" + "\n".join("ISIC_0000000,benign" for n in range(24)): "two rows of one image",
}


@pytest.mark.parametrize("text", PREDICTIONS)
def test_bad_predictions_are_refused(request_, text):
    path = request_.maps.parent / "predictions.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=PREDICTIONS[text]) as refused:
        score_external_maps(changed(request_, predictions=path))
    assert "\n" not in str(refused.value)


def test_the_protocol_of_a_table_of_models_is_recognized(request_):
    """The row joins a table whose records have the same images and settings, whatever their model."""
    scored = score_external_maps(request_)
    path = next((scored.directory / "records").glob("*.json"))
    record = json.loads(path.read_text())
    model = record | {
        "external_maps": None,
        "architecture": "mobilenet",
        "regime": "standard",
        "badge": "self-reported",
    }
    model |= {"methods": ["grad-cam", "gradient"], "key": "0" * 16, "files": {}}
    model["training"] |= {"sha256": "0" * 64}
    del model["seal"]
    model["settings"]["training"] = {"weights": "random"}
    stem = "mobilenet-standard-0"
    for suffix in ("scores.parquet", "predictions.parquet", "classification.csv"):
        path.with_name(f"{path.stem}.{suffix}").rename(path.with_name(f"{stem}.{suffix}"))
    path.unlink()
    predictions = path.with_name(f"{stem}.predictions.parquet")
    certain = {f"p{place}": float(place == 0) for place in range(len(model["classes"]))}
    pd.read_parquet(predictions).assign(predicted=0, **certain).to_parquet(predictions)
    write_text(path.with_name(f"{stem}.json"), json.dumps(model))
    list_made(scored.directory, [path.with_name(f"{stem}.json")])
    assert score_external_maps(changed(request_, changes={})).in_table
    for table in build_tables(read_results(scored.directory)):
        assert {row.name for row in table.models} == {"mobilenet", "keras"}
