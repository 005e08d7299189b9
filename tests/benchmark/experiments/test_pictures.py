"""Pictures of test images are published where the license of the data or the user allows it, and removed elsewhere."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.experiments import gallery
from benchmark.experiments import reliance_sheet as sheets
from benchmark.experiments.pictures import has_pictures, may_publish, remove_pictures
from benchmark.registry import entries
from datasets import DatasetReader

FREE = {"dermsynth", "isic2016", "isic2017", "isic2018", "oxford-pet", "pcam"}


@pytest.mark.parametrize("layout", sorted(entries(DatasetReader)))
def test_the_license_decides_unless_the_user_does(layout):
    data = SimpleNamespace(layout=layout)
    assert may_publish(data, None) == (layout in FREE)
    assert may_publish(data, choice=True)
    assert not may_publish(data, choice=False)


def test_own_data_and_unknown_layouts_are_not_shown():
    assert not may_publish(SimpleNamespace(layout="folder"), None)
    assert not may_publish(SimpleNamespace(layout="unknown"), None)


def test_pictures_of_earlier_runs_are_removed_and_nothing_else(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.png").touch()
    results = tmp_path / "results"
    (results / "gallery").mkdir(parents=True)
    pictures = "data.webp", "reliance.webp", "reliance-imagenet.webp", "maps-standard.webp", "gallery/images.webp"
    for name in (*pictures, "regimes.png", "split.csv"):
        (results / name).touch()
    assert has_pictures(results)
    remove_pictures(results)
    assert not has_pictures(results)
    assert sorted(path.name for path in results.iterdir()) == ["regimes.png", "split.csv"]
    (results / "gallery").symlink_to(outside)
    remove_pictures(results)
    assert (outside / "mine.png").exists()


def test_each_variant_has_a_sheet_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "build_panels", lambda job: [job])
    monkeypatch.setattr(sheets, "reliance_sheet", lambda _, title, path: path.write_text(title, encoding="utf-8"))

    def jobs(variant, *, adversarial=False):
        cell = SimpleNamespace(
            variant=variant,
            name=f"net/{variant}",
            regime=SimpleNamespace(adversarial=adversarial),
            architecture=SimpleNamespace(predicts_masks=False),
        )
        return [SimpleNamespace(cell=cell, data=SimpleNamespace(name="made", synthetic=False))]

    sheets.write_reliance_sheet(jobs("imagenet"), tmp_path)
    sheets.write_reliance_sheet(jobs(""), tmp_path)
    sheets.write_reliance_sheet(jobs("", adversarial=True), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reliance-imagenet.webp", "reliance.webp"]
    assert "net/imagenet" in (tmp_path / "reliance-imagenet.webp").read_text(encoding="utf-8")
    monkeypatch.setattr(sheets, "build_panels", lambda _: [])
    sheets.write_reliance_sheet(jobs(""), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["reliance-imagenet.webp"]


def test_each_model_is_in_the_gallery_by_its_first_seed(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(gallery, "select", lambda *_: [SimpleNamespace(name="grad-cam")])
    monkeypatch.setattr(gallery, "_picture", lambda *_: None)
    monkeypatch.setattr(gallery, "_scores", lambda *_: np.zeros(2))
    monkeypatch.setattr(gallery, "_explained", lambda *_: None)
    monkeypatch.setattr(gallery, "write_images", lambda *_: None)
    monkeypatch.setattr(gallery, "write_model", lambda _, model, *__: written.append(model))

    def job(seed, architecture, regime, *, predicts_masks=False):
        cell = SimpleNamespace(
            seed=seed,
            variant="",
            architecture=SimpleNamespace(name=architecture, predicts_masks=predicts_masks),
            regime=SimpleNamespace(name=regime),
        )
        return SimpleNamespace(
            cell=cell, key=f"{architecture}{seed}", protocol="p", data=None, preset=SimpleNamespace(methods=())
        )

    jobs = [
        job(1, "resnet50", "standard"),
        job(0, "resnet50", "standard"),
        job(0, "resnet50_multitask", "multitask", predicts_masks=True),
    ]
    gallery.write_gallery(jobs, [0, 1], tmp_path)
    assert {(model["architecture"], model["regime"], model["seed"]) for model in written} == {
        ("resnet50", "standard", 0),
        ("resnet50_multitask", "multitask", 0),
    }
    assert len(written) == 2
