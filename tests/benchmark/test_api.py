"""The functions for notebooks take what a notebook has, and name what is wrong."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.api import evaluate, explain, load_images, score_maps
from benchmark.errors import UserError

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("limit", [6, 8, 24])
def test_no_more_images_are_loaded_than_the_limit_of_each_class_alike(limit):
    images = load_images(size=32, limit=limit)
    counts = np.bincount(images.labels, minlength=len(images.classes))
    assert counts.max() - counts.min() <= 1
    assert {len(part) for part in (images.names, images.images, images.masks, images.labels)} == {limit}
    assert set(images.labels) <= set(range(len(images.classes)))


def test_an_unknown_layer_is_named_with_the_nearest():
    with pytest.raises(UserError, match="unknown layer 'l'; nearest"):
        explain(NETWORK, torch.rand(1, 3, 8, 8), layer="l")


def test_an_unknown_option_is_named_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="unknown option 'prediction'; nearest: predictions"):
        evaluate(tmp_path, name="mine", prediction="p.csv")


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.full((2, 4, 4), 3), "masks has integers other than 0, 1 and 255"),
        (np.ones((2, 4, 4)) * 255, "masks has values from 255 to 255"),
        (np.ones((3, 4, 4)), "one of each per image"),
    ],
)
def test_wrong_masks_are_called_masks(masks, message):
    with pytest.raises((TypeError, ValueError), match=message) as refused:
        score_maps(np.random.default_rng(0).random((2, 4, 4)), masks)
    assert "reference" not in str(refused.value)
