"""What a grid can show at best: known bounds, hand-made masks, and the ascent of another program."""

import weakref

import numpy as np
import pandas as pd
import pytest
import torch

from architectures import Architecture
from architectures.geometry import Axis, Geometry, stretched
from benchmark.baselines import CEILING, CONSTANT, RATER, UNTRAINED, ceiling_name, score, uses_masks
from benchmark.baselines.ceiling import compute_ceiling_maps
from benchmark.baselines.score import BaselinePart, list_parts
from benchmark.data.dataset import ImageDataset
from benchmark.registry import select
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.saliency.gradient import GRADIENT
from benchmark.saliency.placement import Placement, interpolation_weights
from metrics.normalize import normalize
from metrics.overlap import map_f1


def square(cells, side, first=None, spacing=None):
    whole = stretched(cells, side)
    axis = Axis(
        first=whole.first if first is None else first, spacing=spacing or whole.spacing, cells=cells, pixels=side
    )
    return Geometry(rows=axis, columns=axis)


def disks(side, number=6):
    """Disks of several sizes and places, (N, S, S), in {0, 1}."""
    random = torch.Generator().manual_seed(4)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    results = []
    for _ in range(number):
        row, column, radius = torch.rand(3, generator=random) * side
        results.append(((y - row) ** 2 + (x - column) ** 2 < (2 + radius / 4) ** 2).float())
    return torch.stack(results)


def scores(masks, geometry):
    return map_f1(normalize(compute_ceiling_maps(masks, geometry)), masks)


def by_adam(masks, geometry, steps=300):
    """Another ascent, by autograd and over logits."""
    down, right = interpolation_weights(geometry.rows).float(), interpolation_weights(geometry.columns).float()
    logits = torch.zeros(len(masks), down.shape[1], right.shape[1], requires_grad=True)
    adam, best = torch.optim.Adam([logits], 0.1), torch.zeros(len(masks))
    for _ in range(steps):
        maps = down @ logits.sigmoid() @ right.T
        maps = maps / maps.amax((1, 2), keepdim=True)
        size = maps.sum((1, 2)) + masks.sum((1, 2))
        results = 2 * torch.minimum(maps, masks).sum((1, 2)) / size
        best = torch.maximum(best, results.detach())
        adam.zero_grad()
        (-results.sum()).backward()
        adam.step()
    return best


@pytest.mark.parametrize("geometry", [square(3, 48), square(4, 48, first=0.0, spacing=12.0)], ids=["even", "displaced"])
def test_no_other_ascent_finds_much_more(geometry):
    masks = disks(48)
    results, other = scores(masks, geometry), by_adam(masks, geometry)
    assert (results > other - 0.02).all()
    assert (results - other).mean() > -0.005


def test_what_the_grid_can_show_is_found():
    geometry = square(4, 32, first=2.0, spacing=9.0)
    grids = torch.zeros(2, 4, 4)
    grids[0, 1, 2], grids[1, 2:, 1] = 1, 1
    masks = Placement(geometry)(grids, (32, 32))
    assert (scores(masks, geometry) > 0.99).all()


def test_a_finer_grid_can_do_more_and_a_displaced_one_less():
    masks = disks(48)
    coarse, fine = scores(masks, square(3, 48)), scores(masks, square(12, 48))
    assert (fine > coarse + 0.05).all()
    best = compute_ceiling_maps(masks, square(3, 48))
    moved = torch.roll(best, (7, 7), (1, 2))
    assert map_f1(normalize(moved), masks).mean() < coarse.mean() - 0.05


def test_every_mask_counts_by_itself_and_an_empty_one_has_an_empty_map():
    masks = torch.cat([torch.zeros(1, 48, 48), disks(48, 3)])
    together = compute_ceiling_maps(masks, square(3, 48))
    alone = torch.cat([compute_ceiling_maps(mask[None], square(3, 48)) for mask in masks])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert not together[0].any()
    assert together.min() >= 0
    assert together.max() <= 1
    assert torch.equal(compute_ceiling_maps(masks, square(3, 48)), together)


def test_names():
    assert ceiling_name(3, 4) == f"{CEILING} 3 x 4 grid"
    assert [uses_masks(name) for name in (ceiling_name(7, 7), RATER, CONSTANT)] == [True, True, False]


def test_a_table_has_a_ceiling_for_each_shape_of_grid_and_a_part_for_each_geometry(tmp_path, monkeypatch):
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path))
    chosen = select(Architecture, ["mobilenet", "resnet50", "densenet121", "vgg16"])
    parts = list_parts(chosen, [GRAD_CAM, GRADIENT], 96, "receptive-field")
    results = [
        (part.baseline, part.architecture.name) for part in parts if uses_masks(part.baseline) and part.architecture
    ]
    # The methods of a network follow one another, so that they share it.
    assert [part.architecture for part in parts if part.method] == [each for each in chosen for _ in range(2)]
    coarse, fine = ceiling_name(3, 3), ceiling_name(6, 6)
    assert results == [(coarse, "mobilenet"), (coarse, "densenet121"), (fine, "vgg16")]
    stretched_parts = list_parts(chosen, [GRAD_CAM], 96, "none")
    assert [part.architecture.name for part in stretched_parts if part.baseline == coarse] == ["mobilenet"]
    assert not any(
        uses_masks(part.baseline) and part.architecture for part in list_parts(chosen, [GRADIENT], 96, "none")
    )


def drawn(directory, side=96):
    """Four test images of noise, three with a disk as their mask."""
    masks = disks(side, 3)
    return ImageDataset(
        name="drawn",
        key="k",
        synthetic=False,
        classes=("a", "b"),
        available=4,
        left_out=(),
        manifest=directory / "split.csv",
        images=np.random.default_rng(0).integers(256, size=(4, side, side, 3), dtype=np.uint8),
        samples=pd.DataFrame({"id": list("wxyz"), "label": [0, 1] * 2, "group": list("wxyz"), "split": "test"}),
        mask_arrays=(masks * 255).to(torch.uint8).numpy(),
        references=pd.DataFrame(
            [(sample, "image", "", "") for sample in range(3)], columns=["sample", "level", "rater", "characteristic"]
        ),
    )


def test_methods_share_an_untrained_network_and_its_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path))
    data, device, answered = drawn(tmp_path), torch.device("cpu"), []
    predict = score.predict
    monkeypatch.setattr(
        score, "predict", lambda model, images: answered.append(weakref.ref(model)) or predict(model, images)
    )
    (architecture,) = select(Architecture, ["mobilenet"])
    parts = [BaselinePart(baseline=UNTRAINED, architecture=architecture, method=each) for each in (GRAD_CAM, GRADIENT)]
    untrained = score._UntrainedMaps(data, device, parts)
    shared = [untrained.take(part) for part in parts]
    (network,) = answered
    assert network() is None  # it is gone once its maps are there
    alone = [score._UntrainedMaps(data, device, [part]).take(part) for part in parts]
    assert len(answered) == 1 + len(parts)
    np.testing.assert_array_equal(shared, alone)
    assert all(maps.any() for maps in shared)


def test_the_ceiling_is_scored_as_maps_are_and_stands_with_the_methods_of_a_grid(tmp_path, monkeypatch):
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path))
    side, data = 96, drawn(tmp_path)
    monkeypatch.setattr(score, "TRIVIAL", {})
    monkeypatch.setattr(score._UntrainedMaps, "take", lambda *_: np.zeros((4, side, side), dtype=np.float16))
    monkeypatch.setattr(score, "_score_raters", lambda *_: pd.DataFrame())
    chosen = select(Architecture, ["mobilenet"])
    frame = score.score_baselines(
        data, chosen, [GRAD_CAM, GRADIENT], torch.device("cpu"), "p", alignment="receptive-field"
    )
    rows = frame[frame["baseline"] == ceiling_name(3, 3)]
    assert set(rows["method"]) == {"grad-cam"}
    assert set(rows["metric"]) == {"map-f1"}
    assert list(rows["image"]) == ["w", "x", "y"]
    expected = scores(disks(side, 3), square(3, side, first=0.0, spacing=32.0))
    assert list(rows["value"]) == pytest.approx(expected.tolist(), abs=1e-3)
