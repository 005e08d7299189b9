"""Blocks change no score, and a map's block holds it whole."""

import pytest
import torch

from metrics import blocks
from metrics.blocks import in_blocks
from metrics.localization import relevance_mass
from metrics.sparsity import entropy
from tests.metrics.maps import seeded


@pytest.fixture(params=[1, 2 * 180, 4 * 180])
def small_blocks(request, monkeypatch):
    """Maps of 12 x 15 one at a time, two at a time with one left, and four at a time."""
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", request.param)
    return max(1, request.param // 180)


def test_every_map_is_in_one_block(small_blocks):
    sizes = []

    def compute(maps, numbers):
        assert len(maps) == len(numbers)
        sizes.append(len(maps))
        return maps.sum((1, 2)) + numbers

    maps, numbers = seeded(7).saliency, torch.arange(7)
    assert torch.equal(in_blocks(compute, maps, numbers), maps.sum((1, 2)) + numbers)
    assert sum(sizes) == 7
    assert max(sizes) == small_blocks


@pytest.mark.usefixtures("small_blocks")
def test_scores_do_not_depend_on_the_blocks(monkeypatch):
    inputs = seeded(7)
    found = entropy(inputs.saliency), relevance_mass(inputs.saliency, inputs.mask)
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", 2**18)
    whole = entropy(inputs.saliency), relevance_mass(inputs.saliency, inputs.mask)
    torch.testing.assert_close(found, whole, rtol=1e-13, atol=0)
