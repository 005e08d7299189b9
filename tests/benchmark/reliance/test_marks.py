"""Planted marks: a network that reads them relies on them, and one that does not does not."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.data.dataset import ImageDataset
from benchmark.experiments.cell_reliance import load_reliance
from benchmark.reliance import measure, ratios
from benchmark.reliance.marks import find_marked_class, plan_marks
from benchmark.reliance.measure import MeasuredImages, measure_reliance
from benchmark.reliance.variants import MAX_VARIANTS
from datasets.dermsynth.plan import SHORTCUT
from tests.benchmark.reliance.networks import BLUE, LAYER, RED, Reader, pictures

NUMBER = 24


@pytest.fixture(scope="module")
def data():
    """Of the training images those of label 1 are marked, of the test images one half."""
    images, marks = pictures(NUMBER)
    split = np.where(np.arange(NUMBER) < 8, "train", "test")
    marked = [i for i in range(NUMBER) if (i % 2 == 1 if split[i] == "train" else i % 4 < 2)]
    samples = {"id": images.names, "label": images.labels, "group": images.names, "split": split}
    return ImageDataset(
        name="made",
        key="made",
        synthetic=False,
        classes=("a", "b"),
        available=NUMBER,
        left_out=(),
        manifest=Path("none"),
        images=images.pixels,
        samples=pd.DataFrame(samples),
        mask_arrays=marks[marked] * np.uint8(255),
        references=pd.DataFrame({"sample": marked, "level": "shortcut", "rater": "", "characteristic": ""}),
    )


def measured(data, model):
    images, _ = pictures(NUMBER)
    rows = data.test
    cut = {name: getattr(images, name)[rows] for name in ("pixels", "expert_masks", "labels")}
    names = [images.names[row] for row in rows]
    planned = plan_marks(data, cut["expert_masks"])
    passes = []
    model.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    frame = measure_reliance(model, LAYER, MeasuredImages(**cut, names=names, marks=planned), torch.device("cpu"))
    assert sum(passes) <= MAX_VARIANTS * len(rows)
    return frame


def test_a_network_that_reads_the_mark_relies_on_it(data):
    frame = measured(data, Reader(BLUE))
    added, removed = (ratios.column(frame, f"mark {change} toward") for change in ("added", "removed"))
    # Added where the class is another one and there is no mark, removed where there is one.
    np.testing.assert_array_equal(np.isfinite(added), data.test % 4 == 2)
    np.testing.assert_array_equal(np.isfinite(removed), data.test % 4 < 2)
    # The edge of the image cuts some marks, so that little of them can be copied.
    assert np.nanmean(added) > 0.8
    assert np.nanmean(removed) < -0.8
    assert np.nanmean(ratios.column(frame, "mark added changed")) > 0.7


def test_a_network_that_reads_the_lesion_does_not(data):
    frame = measured(data, Reader(RED))
    for change in ("added", "removed"):
        assert abs(np.nanmean(ratios.column(frame, f"mark {change} toward"))) < 0.01
        assert np.nanmax(ratios.column(frame, f"mark {change} changed")) == 0


def test_the_marked_class_is_that_of_the_marked_training_images(data):
    assert find_marked_class(data) == 1


def changed(data, **fields):
    values = {name: getattr(data, name) for name in data.__slots__}
    return ImageDataset(**(values | fields))


def test_without_marks_in_training_synthetic_data_name_the_class(data):
    unmarked = data.references[~data.references["sample"].isin(data.train)]
    assert find_marked_class(changed(data, references=unmarked)) is None
    synthetic = changed(data, references=unmarked, synthetic=True, classes=(SHORTCUT, "b"))
    assert find_marked_class(synthetic) == 0


def test_no_marks_no_plan(data):
    without = changed(data, references=data.references[:0])
    assert plan_marks(without, np.zeros((16, 32, 32), dtype=bool)) is None


def test_versions_are_built_once_for_all_networks_of_a_data_set(data, own_folders, monkeypatch):
    built = []
    build = measure.build_variants
    monkeypatch.setattr(measure, "build_variants", lambda *image: built.append(image) or build(*image))
    architecture = SimpleNamespace(target_layer=LAYER)

    def load(model_key):
        cell = SimpleNamespace(architecture=architecture)
        job = SimpleNamespace(model_key=model_key, data=data, cell=cell, device=torch.device("cpu"))
        return load_reliance(job, Reader(BLUE).eval())

    first = load("first")
    assert len(built) == len(data.test)
    assert load("second").equals(first)
    assert len(built) == len(data.test)
    (stored,) = (own_folders / "runs" / "reliance").glob("*.zip")
    stored.write_bytes(b"damaged")
    assert load("third").equals(first)
    assert len(built) == 2 * len(data.test)
