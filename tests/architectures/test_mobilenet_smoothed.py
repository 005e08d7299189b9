"""The smoothed MobileNet begins as MobileNet, and its block blurs what it adds."""

import math

import pytest
import torch

from architectures.geometry import grid_geometry
from architectures.mobilenet import MOBILENET
from architectures.mobilenet_smoothed import MOBILENET_SMOOTHED, FeatureSmoothing


def test_it_begins_as_mobilenet_with_the_same_weights():
    torch.manual_seed(0)
    smoothed, plain = MOBILENET_SMOOTHED.build(3).eval(), MOBILENET.build(3).eval()
    missing = smoothed.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys == ["body.blocks.1.2.mix.weight", "body.blocks.1.2.mix.bias"]
    assert not missing.unexpected_keys
    images = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        assert torch.equal(smoothed(images), plain(images))


def test_the_block_adds_the_mix_of_blurred_channels():
    block = FeatureSmoothing(2)
    with torch.no_grad():
        block.mix.weight[0, 1] = 1.0
    features = torch.zeros(1, 2, 7, 7)
    features[0, 1, 3, 3] = 1.0
    found = block(features)[0].detach()
    assert torch.equal(found[1], features[0, 1])
    assert float(found[0].sum()) == pytest.approx(1.0)
    side, middle = float(found[0, 3, 2]), float(found[0, 3, 3])
    assert side / middle == pytest.approx(math.exp(-1 / (2 * 0.8**2)), rel=1e-5)
    torch.testing.assert_close(found[0], found[0].T)
    torch.testing.assert_close(found[0], found[0].flip(0, 1))


def test_the_block_learns():
    torch.manual_seed(0)
    network = MOBILENET_SMOOTHED.build(2)
    network(torch.rand(4, 3, 96, 96)).square().sum().backward()
    gradient = network.get_parameter("body.blocks.1.2.mix.weight").grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_it_lies_where_mobilenet_does():
    torch.manual_seed(0)
    pair = [grid_geometry(entry.build(2), entry.target_layer, (96, 96)) for entry in (MOBILENET, MOBILENET_SMOOTHED)]
    assert pair[0] == pair[1]
