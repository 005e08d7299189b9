import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metrics.overlap import map_f1, map_iou, map_sensitivity, map_specificity
from tests.metrics.maps import seeded

FAMILY = [map_f1, map_sensitivity, map_specificity, map_iou]


def literal(saliency, reference):
    """The family as its definition reads, pixel by pixel, for one map."""
    both = neither = either = size = truth = 0.0
    pixels = list(zip(saliency.flatten().tolist(), reference.flatten().tolist(), strict=True))
    for p, r in pixels:
        both += min(p, r)
        neither += min(1 - p, 1 - r)
        either += max(p, r)
        size += p
        truth += r
    return {
        map_f1: 2 * both / (size + truth),
        map_sensitivity: both / truth,
        map_specificity: neither / (len(pixels) - truth),
        map_iou: both / either,
    }


@pytest.mark.parametrize("metric", FAMILY)
def test_equals_the_literal_loop(metric):
    inputs = seeded(8)
    expected = [literal(p, r)[metric] for p, r in zip(inputs.saliency, inputs.reference, strict=True)]
    torch.testing.assert_close(metric(inputs.saliency, inputs.reference), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("metric", "by_hand"),
    [(map_f1, 2 * 0.9 / 2.6), (map_sensitivity, 0.9 / 1.5), (map_specificity, 2.3 / 2.5), (map_iou, 0.9 / 1.7)],
)
def test_two_by_two_by_hand(metric, by_hand):
    saliency = torch.tensor([[[0.4, 0.5], [0.2, 0.0]]])
    reference = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    assert metric(saliency, reference).item() == pytest.approx(by_hand, abs=1e-7)


@pytest.mark.parametrize("metric", FAMILY)
def test_perfect_agreement_of_crisp_masks_is_one(metric):
    mask = seeded(3).mask.double()
    assert metric(mask, mask).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("metric", "value"), [(map_f1, 0), (map_sensitivity, 0), (map_specificity, 1), (map_iou, 0)])
def test_an_empty_map_covers_nothing(metric, value):
    reference = seeded(2).reference
    assert metric(torch.zeros_like(reference), reference).tolist() == [value, value]


@pytest.mark.parametrize("metric", [map_f1, map_sensitivity, map_iou])
def test_an_empty_reference_is_undefined(metric):
    inputs = seeded(2)
    inputs.reference[0] = 0
    assert metric(inputs.saliency, inputs.reference).isnan().tolist() == [True, False]
    assert metric(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)).isnan().all()


def test_specificity_of_a_full_reference_is_undefined():
    inputs = seeded(2)
    inputs.reference[0] = 1
    assert map_specificity(inputs.saliency, inputs.reference).isnan().tolist() == [True, False]


@pytest.mark.parametrize("metric", FAMILY)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.1, 1.1])
def test_a_map_outside_the_unit_interval_was_not_normalized_and_is_undefined(metric, value):
    inputs = seeded(2)
    inputs.saliency[0, 4, 4] = value
    assert metric.unchecked(inputs.saliency, inputs.reference).isnan().tolist() == [True, False]


def merged(masks):
    """One soft reference from all masks of an image, as the published code votes: uint8, truncated; then 128 x 128."""
    votes = sum(np.asarray(Image.open(path).convert("L"), dtype=np.int64) for path in masks)
    level = np.clip(votes / votes.max() * 256, 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(level).resize((128, 128), Image.Resampling.BOX)) / 255


@pytest.fixture(scope="module")
def dermxdb():
    if "LOUPE_REAL_DATA" not in os.environ:
        pytest.skip("needs the masks of DermXDB: LOUPE_REAL_DATA names no folder")
    masks = defaultdict(list)
    for path in sorted((Path(os.environ["LOUPE_REAL_DATA"]) / "dermxdb-v1/masks/masks").glob("*.png")):
        rater_and_image = path.stem.rsplit("_", 1)[0]
        masks[rater_and_image.split("_", 1)[1]].append(path)
    return torch.tensor(np.stack([merged(paths) for paths in masks.values()]))


@pytest.mark.slow  # 3,562 masks are read
@pytest.mark.parametrize(
    ("blob", "f1", "sensitivity", "specificity"),
    [
        pytest.param(lambda r2: torch.exp(-r2 / (2 * 0.2**2)), 0.433, 0.628, 0.832, id="gaussian .2"),
        pytest.param(lambda r2: torch.full_like(r2, 0.5), 0.363, 0.753, 0.562, id="constant .5"),
    ],
)
def test_baselines_of_the_real_masks(dermxdb, blob, f1, sensitivity, specificity):
    line = (torch.arange(128, dtype=torch.float64) - 63.5) / 128
    saliency = blob(line[:, None] ** 2 + line**2).expand_as(dermxdb)
    assert len(dermxdb) == 553
    assert map_f1(saliency, dermxdb).mean().item() == pytest.approx(f1, abs=1e-3)
    assert map_sensitivity(saliency, dermxdb).mean().item() == pytest.approx(sensitivity, abs=1e-3)
    assert map_specificity(saliency, dermxdb).mean().item() == pytest.approx(specificity, abs=1e-3)
