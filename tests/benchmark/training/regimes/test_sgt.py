"""Saliency guided training is the formula of its paper."""

import math
from dataclasses import replace

import pytest
import torch

from benchmark.training.regimes import sgt
from tests.benchmark.training.regimes.made import (
    assert_lowest,
    batch,
    consistency_by_hand,
    network,
    saliency_by_hand,
    watched,
)


def test_sgt_is_its_formula():
    now = batch()
    loss, watch = watched("sgt", now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert float(loss.detach()) == pytest.approx(consistency_by_hand(watch, now, weight=1.0), rel=1e-5)


@pytest.mark.parametrize("ranking", ["signed", "absolute"])
def test_sgt_replaces_exactly_the_lower_half_by_values_of_the_image(ranking):
    now, model = batch(), network()
    # Each image with a range of its own.
    now = replace(now, images=now.images * torch.linspace(0.3, 1, 8).reshape(-1, 1, 1, 1))
    changed = sgt.replace_lowest(model, now, replace(sgt.SETTINGS, ranking=ranking))
    gradient = saliency_by_hand(model, now)
    mask = (changed != now.images).all(dim=1)
    assert torch.equal((changed != now.images).any(dim=1), mask)
    assert_lowest(mask, (gradient if ranking == "signed" else gradient.abs()).mean(dim=1))
    for number, image in enumerate(now.images):
        filled = changed[number][:, mask[number]]
        assert image.min() <= filled.min() < filled.max() <= image.max()
        middle = (image.min() + image.max()) / 2
        assert filled.mean() == pytest.approx(float(middle), abs=0.15 * float(image.max() - image.min()))


@pytest.mark.parametrize("wrong", [{"fraction": 1.5}, {"ranking": "both"}, {"weight": -1.0}, {"weight": math.nan}])
def test_sgt_refuses_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="is invalid"):
        replace(sgt.SETTINGS, **wrong)
