"""The baselines of masks alone, against the metrics of the engine and against known values."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.baselines.masks import mask_baselines
from benchmark.baselines.trivial import gaussian, noise
from benchmark.data.references import Drawing
from benchmark.errors import UserError
from datasets import DatasetIndex, Mask, Sample
from datasets.aggregation import ADDITIVE_MAX, MAJORITY
from metrics.overlap import map_f1, map_sensitivity, map_specificity
from tests.command import call

METRICS = {"f1": map_f1, "sensitivity": map_sensitivity, "specificity": map_specificity}


@pytest.fixture
def drawn(tmp_path) -> DatasetIndex:
    """Three images of different sizes, two raters, two characteristics; one rater draws the first image twice."""
    rng = np.random.default_rng(0)
    samples = []
    for number, shape in enumerate([(20, 30), (31, 17), (24, 24)]):
        masks = []
        for rater, what, reading in [("ann", "Scale", 1), ("ann", "Cyst", 1), ("bob", "Scale", 1), ("ann", "Scale", 2)]:
            plane = np.zeros(shape, dtype=np.uint8)
            top, left = rng.integers(0, 8, 2)
            plane[top : top + 9, left : left + 8] = 255
            path = tmp_path / f"{number}-{rater}-{what}-{reading}.png"
            Image.fromarray(plane).save(path)
            if reading == 1 or number == 0:
                masks.append(Mask(path=path, rater=rater, characteristic=what, reading=reading))
        samples.append(Sample(id=f"c{number}", image=None, diagnosis="a", group=f"c{number}", masks=tuple(masks)))
    return DatasetIndex(name="drawn", layout="folder", root=tmp_path, samples=tuple(samples))


def rows(data: DatasetIndex, merge=ADDITIVE_MAX) -> dict[tuple[str, str], dict[str, float]]:
    results = mask_baselines(data, merge, lambda *_: None)
    return {(row["baseline"], row["level"]): row for row in results}


def by_the_engine(pairs) -> dict[str, float]:
    """Mean scores of whole planes by the metrics that score models."""
    values = {name: [] for name in METRICS}
    for saliency, reference in pairs:
        for name, metric in METRICS.items():
            planes = (torch.as_tensor(np.asarray(plane, dtype=np.float32))[None] for plane in (saliency, reference))
            values[name].append(metric(*planes).item())
    return {name: float(np.mean(results)) for name, results in values.items()}


@pytest.mark.parametrize("merge", [ADDITIVE_MAX, MAJORITY])
def test_scores_are_those_of_the_engine_on_whole_planes(drawn, merge):
    results = rows(drawn, merge)
    drawings = {sample.id: Drawing([m for m in sample.masks if m.reading == 1], None) for sample in drawn.samples}
    whole = {name: d.whole(d.merged(merge)) / 255 for name, d in drawings.items()}
    trivial = {
        "constant 0.5": lambda name: np.full(whole[name].shape, 0.5),
        "uniform noise": lambda name: noise(whole[name].shape, name),
        "centered Gaussian, 0.2 of the side": lambda name: gaussian(whole[name].shape, 0.2),
    }
    for baseline, draw in trivial.items():
        expected = by_the_engine((draw(name), plane) for name, plane in whole.items())
        row = results[baseline, "image"]
        assert {name: row[name] for name in METRICS} == pytest.approx(expected, abs=1e-6, nan_ok=True)
    pairs = [
        (d.whole(d.merged(merge, [rater])) / 255, d.whole(d.merged(merge, [other])) / 255)
        for d in drawings.values()
        for rater, other in [("ann", "bob"), ("bob", "ann")]
    ]
    row = results["one rater against the others", "image"]
    assert row["n"] == 6
    assert {name: row[name] for name in METRICS} == pytest.approx(by_the_engine(pairs), abs=1e-6)


def test_characteristics_count_alike_however_often_they_were_drawn(drawn):
    few = DatasetIndex(
        name="d",
        layout="folder",
        root=drawn.root,
        samples=(
            drawn.samples[0],
            *[
                Sample(id=sample.id, image=None, diagnosis="a", group="g", masks=sample.masks[:1])
                for sample in drawn.samples[1:]
            ],
        ),
    )
    planes = {"Scale": [], "Cyst": []}
    for sample in few.samples:
        drawing = Drawing([mask for mask in sample.masks if mask.reading == 1], None)
        for name in drawing.characteristics:
            planes[name].append(drawing.whole(drawing.merged(ADDITIVE_MAX, characteristic=name)) / 255)
    means = [
        by_the_engine((np.full(plane.shape, 0.5), plane) for plane in results)["f1"] for results in planes.values()
    ]
    row = rows(few)["constant 0.5", "characteristic"]
    assert row["f1"] == pytest.approx(np.mean(means), abs=1e-6)
    assert row["n"] == 4


def test_second_readings_are_held_against_the_first(drawn):
    row = rows(drawn)["one rater against his first reading", "image"]
    assert row["n"] == 1
    assert 0 < row["f1"] < 1


def test_an_empty_mask_is_counted_and_not_averaged(drawn, tmp_path):
    Image.fromarray(np.zeros((20, 30), dtype=np.uint8)).save(tmp_path / "empty.png")
    empty = Sample(id="e", image=None, diagnosis="a", group="e", masks=(Mask(path=tmp_path / "empty.png", rater="x"),))
    data = DatasetIndex(name="d", layout="folder", root=tmp_path, samples=(*drawn.samples, empty))
    row = rows(data)["constant 0.5", "image"]
    assert (row["n"], row["undefined"]) == (3, 1)
    assert row["f1"] == pytest.approx(rows(drawn)["constant 0.5", "image"]["f1"])


def test_no_masks_and_a_mask_of_another_size_are_one_line(drawn, tmp_path):
    bare = Sample(id="e", image=None, diagnosis="a", group="e")
    with pytest.raises(UserError, match="has no masks; baselines are scored against masks"):
        rows(DatasetIndex(name="d", layout="folder", root=tmp_path, samples=(bare,)))
    Image.fromarray(np.full((20, 31), 255, dtype=np.uint8)).save(drawn.samples[0].masks[1].path)
    with pytest.raises(UserError, match=r"ann-Cyst-1\.png is 31 x 20, its image 30 x 20"):
        rows(drawn)


@pytest.mark.slow
def test_the_command_gives_the_known_values_of_dermxdb(real_data, tmp_path):
    done = call(tmp_path, "baselines", real_data / "dermxdb-v1", "--json")
    assert done.returncode == 0, done.stderr
    results = {(row["baseline"], row["level"]): row for row in json.loads(done.stdout)}
    expected = {
        "centered Gaussian, 0.2 of the side": (0.430, 0.623, 0.831, 553),
        "constant 0.5": (0.362, 0.749, 0.561, 553),
        "one rater against the others": (0.633, 0.669, 0.930, 1440),
    }
    for baseline, (f1, sensitivity, specificity, n) in expected.items():
        row = results[baseline, "image"]
        values = [row["f1"], row["sensitivity"], row["specificity"]]
        assert values == pytest.approx([f1, sensitivity, specificity], abs=0.002)
        assert row["n"] == n
    assert results["one rater against the others", "characteristic"]["f1"] == pytest.approx(0.50, abs=0.01)
