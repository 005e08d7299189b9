import numpy as np
import pytest
import torch

from metrics.sorting import ascending, distribution, levels
from tests.metrics.maps import seeded


def test_both_roads_sort_alike():
    maps = seeded(3).saliency
    maps[1, 2, 3] = torch.nan
    torch.testing.assert_close(ascending(maps), maps.flatten(1).sort(dim=1).values, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99, 0.995, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (12, 15)])
def test_percentile_equals_numpy(fraction, shape):
    maps = seeded(3, 20, 20).saliency[:, : shape[0], : shape[1]]
    expected = np.quantile(maps.flatten(1).numpy(), fraction, axis=1)
    assert distribution(maps).percentile(fraction).tolist() == pytest.approx(expected.tolist(), abs=1e-15)


def levels_by_hand(maps):
    return np.stack([np.unique(values, return_inverse=True)[1] for values in maps.flatten(1).numpy()])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, -0.3])
def test_levels_order_as_values_do(dtype, offset):
    maps = (seeded(3, 130, 130).saliency + offset).to(dtype)
    maps[:, 0, :4] = torch.tensor([0.0, -0.0, 1.0, 1.0])
    found = levels(maps)
    ranks = levels_by_hand(maps.double())
    for row, (index, expected) in enumerate(zip(found.index, ranks, strict=True)):
        assert index.min() >= row * found.num_levels
        assert index.max() < (row + 1) * found.num_levels
        assert (np.unique(index.numpy(), return_inverse=True)[1] == expected).all()


def test_half_precision_is_not_sorted_and_other_maps_are():
    maps = seeded(2, 64, 64).saliency
    assert levels(maps.half().float()).num_levels == 0x3C00 + 1
    assert levels(maps).num_levels == 64 * 64


def test_small_maps_have_no_more_levels_than_pixels():
    assert levels(seeded(2).saliency.half()).num_levels == 12 * 15
    assert distribution(seeded(2, 64, 64).saliency.half() - 1).values.shape == (2, 64 * 64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, -0.3, 500.0])
def test_a_distribution_has_all_values(dtype, offset):
    maps = (seeded(3, 130, 130).saliency + offset).to(dtype)
    found = distribution(maps)
    for values, counts, pixels in zip(found.values, found.counts.expand(3, -1), maps, strict=True):
        assert torch.equal(values.repeat_interleave(counts), pixels.double().flatten().sort().values)
    assert torch.equal(found.value_at(7)[:, 0], maps.double().flatten(1).sort(1).values[:, 7])


def test_a_map_that_is_not_finite_leaves_the_levels_of_others():
    maps = seeded(3, 64, 64).saliency.half()
    expected = levels(maps).index[[0, 2]]
    maps[1, 2, 3] = torch.nan
    assert torch.equal(levels(maps).index[[0, 2]], expected)
