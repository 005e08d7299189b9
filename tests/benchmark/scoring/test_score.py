"""The engine gives every metric what it asks for, and lists every score under the right name."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.baselines import RATER
from benchmark.baselines.score import score_baselines
from benchmark.data.dataset import ImageDataset
from benchmark.registry import entries
from benchmark.saliency.gradient import GRADIENT
from benchmark.scoring import score
from benchmark.scoring.perturbation import build_perturbation_context
from benchmark.scoring.score import score_maps
from metrics import Metric
from metrics.color import COLOR_VARIATION, COLOR_VARIATION_NULL
from metrics.localization import top_mask_f1
from metrics.overlap import map_f1
from metrics.threshold import roc_auc

SIDE = 12
CPU = torch.device("cpu")


@pytest.fixture
def data() -> ImageDataset:
    """Six images of two classes, four of them for testing; the third has no masks, the fourth a shortcut."""
    rng = np.random.default_rng(0)
    rows = []
    for sample in (0, 1, 2, 3):
        if sample == 2:
            continue
        rows += [(sample, "image", "", ""), (sample, "union", "", ""), (sample, "characteristic", "", "Scale")]
        rows.append((sample, "characteristic-union", "", "Scale"))
        levels = ("rater", "rater-union", "others")
        rows += [(sample, level, rater, "") for rater in ("ann", "bob") for level in levels]
    rows.append((3, "shortcut", "", ""))
    rows.append((5, "image", "", ""))  # a training image, which must not be scored
    planes = rng.integers(0, 2, (len(rows), SIDE, SIDE), dtype=np.uint8) * 255
    samples = {"id": [f"c{n}" for n in range(6)], "label": [0, 1] * 3, "group": [f"g{n}" for n in range(6)]}
    return ImageDataset(
        name="drawn",
        key=hashlib.sha256(planes.tobytes()).hexdigest(),
        synthetic=False,
        classes=("a", "b"),
        available=6,
        left_out=(),
        manifest=Path("split.csv"),
        images=rng.integers(0, 255, (6, SIDE, SIDE, 3), dtype=np.uint8),
        samples=pd.DataFrame(samples).assign(split=["test"] * 4 + ["train"] * 2),
        mask_arrays=planes,
        references=pd.DataFrame(rows, columns=["sample", "level", "rater", "characteristic"]),
    )


def maps(number: int = 4) -> np.ndarray:
    return np.random.default_rng(1).random((number, SIDE, SIDE)).astype(np.float16)


def metric_list() -> list[Metric]:
    return list(entries(Metric).values())


def select(frame, **wanted):
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    return frame


def test_scores_are_those_of_the_metric_on_the_right_pair(data):
    drawn = maps()
    frame = score_maps(drawn, data, metric_list(), device=CPU)
    planes = data.references[(data.references["level"] == "image") & (data.references["sample"] == 3)].index
    reference = torch.tensor(data.mask_arrays[planes[0]][None]).float() / 255
    saliency = torch.tensor(drawn[3][None].astype(np.float32))
    saliency = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    found = select(frame, image="c3", metric="map-f1", level="image")["value"]
    assert found.tolist() == pytest.approx(map_f1(saliency, reference).tolist(), abs=1e-6)
    union = data.references[(data.references["level"] == "union") & (data.references["sample"] == 1)].index
    mask = torch.tensor(data.mask_arrays[union[0]][None]) > 127
    found = select(frame, image="c1", metric="top-mask-f1", level="image")["value"]
    assert found.tolist() == pytest.approx(top_mask_f1(torch.tensor(drawn[1:2]).float(), mask).tolist(), abs=1e-6)


def test_hard_masks_are_scored_at_every_level_of_the_soft_ones(data):
    frame = score_maps(drawn := maps(), data, metric_list(), device=CPU)
    names = ["image", "level", "rater", "characteristic"]
    soft = select(frame, metric="map-f1").set_index(names)
    for name in ("top-mask-f1", "roc-auc", "best-f1", "relevance-mass"):
        hard = select(frame, metric=name)
        assert set(hard[hard["level"] != "shortcut"].set_index(names).index) == set(soft.index)
    found = select(frame, metric="roc-auc", image="c1")
    unions = {"image": "union", "characteristic": "characteristic-union", "rater": "rater-union"}
    assert len(found) == 4
    for row in found.itertuples():
        rows = data.references.reset_index()
        rows = select(rows, sample=1, level=unions[row.level], rater=row.rater, characteristic=row.characteristic)
        mask = torch.tensor(data.mask_arrays[rows["index"].item()][None]) > 127
        assert row.value == pytest.approx(roc_auc(torch.tensor(drawn[1:2]).float(), mask).item(), abs=1e-9)


def test_how_many_maps_are_scored_at_once_does_not_count(data, monkeypatch):
    expected = score_maps(drawn := maps(), data, metric_list(), device=CPU)
    for maps_at_once in (1, 3):
        monkeypatch.setattr(score, "MAX_CHUNK_PIXELS", maps_at_once * SIDE**2)
        found = score_maps(drawn, data, metric_list(), device=CPU)
        pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-6)


def test_a_metric_that_looks_at_images_gets_those_of_its_maps_and_the_lesion_but_no_shortcut(data):
    frame = score_maps(drawn := maps(), data, metric_list(), device=CPU)
    images = torch.tensor(data.images).permute(0, 3, 1, 2) / 255
    for metric in (COLOR_VARIATION, COLOR_VARIATION_NULL):
        found = select(frame, metric=metric.name)
        assert set(found["level"]) == {"image"}
        assert list(found["image"]) == ["c0", "c1", "c3"]
        for sample in (0, 1, 3):
            union = data.references[(data.references["level"] == "union") & (data.references["sample"] == sample)].index
            mask, saliency = torch.tensor(data.mask_arrays[union]) > 127, torch.tensor(drawn[[sample]]).float()
            expected = metric.compute(saliency=saliency, mask=mask, images=images[[sample]]).item()
            assert select(found, image=f"c{sample}")["value"].item() == pytest.approx(expected, abs=1e-6)


def test_a_metric_of_map_and_image_needs_no_mask(data):
    data.samples["split"] = ["train", "test", "train", "test", "train", "train"]
    brightness = Metric(
        name="brightness",
        compute=lambda saliency, images: (saliency * images.mean(1)).mean((1, 2)),
        bounds=(0.0, 1.0),
        higher_is_better=True,
        source="this test",
    )
    drawn = maps(2)
    frame = score_maps(drawn, data, [brightness], device=CPU)
    expected = (drawn.astype(float) * data.images[[1, 3]].mean(axis=3) / 255).mean(axis=(1, 2))
    assert list(frame["image"]) == ["c1", "c3"]
    assert frame["value"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_levels_and_images_are_as_documented(data):
    frame = score_maps(maps(), data, metric_list(), device=CPU)
    assert set(select(frame, metric="sparsity")["image"]) == {"c0", "c1", "c2", "c3"}
    assert set(select(frame, metric="map-f1", level="image")["image"]) == {"c0", "c1", "c3"}
    assert set(select(frame, metric="map-f1", level="characteristic")["characteristic"]) == {"Scale"}
    assert set(select(frame, metric="relevance-mass", level="shortcut")["image"]) == {"c3"}
    assert set(frame["level"]) == {"map", "image", "characteristic", "rater", "shortcut"}
    assert "insertion" not in set(frame["metric"])


def test_an_image_scores_alike_alone_and_in_company(data):
    drawn = maps()
    together = score_maps(drawn, data, metric_list(), device=CPU)
    data.samples["split"] = ["train", "test", *["train"] * 4]
    alone = score_maps(drawn[1:2], data, metric_list(), device=CPU)
    names = ["metric", "level", "rater", "characteristic"]
    expected = select(together, image="c1").set_index(names)["value"]
    # Curves are means of float32 answers of other batch sizes: some units in the last place of numbers near 1.
    pd.testing.assert_series_equal(alone.set_index(names)["value"], expected, rtol=0, atol=2e-6)


def test_curves_do_not_depend_on_the_company(data):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    images = torch.tensor(data.images).permute(0, 3, 1, 2)
    model(images[:1].float())
    model.eval()
    ids, drawn, classes = list(data.samples["id"]), maps(6), torch.tensor([0, 1] * 3)
    drawn[:, :6] = 0  # many ties
    settings = {"mean": torch.tensor(data.mean_color()), "steps": 5, "layer": "0", "method": GRADIENT}
    whole = build_perturbation_context(model, images, drawn, classes, ids=ids, **settings)
    part = build_perturbation_context(model, images[4:5], drawn[4:5], classes[4:5], ids=ids[4:5], **settings)
    assert whole.seeds[4] == part.seeds[0]
    together, alone = whole.curves("mean"), part.curves("mean")
    calls: list[int] = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    assert whole.curves("mean").deletion.equal(together.deletion)
    assert not calls  # logits are cached
    torch.testing.assert_close(together.insertion[4:5], alone.insertion, atol=1e-6, rtol=0)
    torch.testing.assert_close(together.deletion[4:5], alone.deletion, atol=1e-6, rtol=0)


def test_baselines_need_no_model_and_raters_are_scored_against_the_others(data, own_folders):
    frame = score_baselines(data, [], [], CPU, "protocol", alignment="none")
    assert set(frame["baseline"]) == {
        "centered Gaussian, 0.2 of the side",
        "constant 0.5",
        "uniform noise",
        "edges of the image",
        RATER,
    }
    raters = select(frame, baseline=RATER, metric="map-f1")
    assert list(zip(raters["image"], raters["rater"], strict=True)) == [
        (image, rater) for image in ("c0", "c1", "c3") for rater in ("ann", "bob")
    ]
    rows = {(row["sample"], row["level"], row["rater"]): index for index, row in data.references.iterrows()}
    own, others = (
        torch.tensor(data.mask_arrays[[rows[1, level, "bob"]]]).float() / 255 for level in ("rater", "others")
    )
    expected = map_f1(own, others).item()
    assert select(raters, image="c1", rater="bob")["value"].item() == pytest.approx(expected, abs=1e-6)
    assert len(list((own_folders / "runs" / "baselines").glob("[!.]*"))) == 5
    pd.testing.assert_frame_equal(score_baselines(data, [], [], CPU, "protocol", alignment="none"), frame)
