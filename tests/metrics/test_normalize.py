import pytest
import torch
from scipy.ndimage import gaussian_filter

from metrics.normalize import normalize
from metrics.smoothing import gaussian_blur
from tests.metrics.maps import seeded


def test_every_map_fills_the_range_by_itself():
    maps = torch.tensor([[[-2.0, 0.0, 2.0]], [[1e-30, 2e-30, 3e-30]], [[100.0, 300.0, 200.0]]])
    expected = torch.tensor([[[0.0, 0.5, 1.0]], [[0.0, 0.5, 1.0]], [[0.0, 1.0, 0.5]]])
    torch.testing.assert_close(normalize(maps), expected)


@pytest.mark.parametrize(("constant", "expected"), [(0.0, 0.0), (0.5, 0.5), (7.0, 1.0), (-3.0, 0.0)])
def test_a_constant_map_stays_but_is_clipped(constant, expected):
    assert normalize(torch.full((1, 3, 4), constant)).unique().tolist() == [expected]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_map_with_a_value_that_is_not_finite_is_undefined_but_its_neighbor_is_not(value):
    maps = seeded(2).saliency
    maps[0, 3, 3] = value
    done = normalize(maps)
    assert done[0].isnan().all()
    assert done[1].isfinite().all()


@pytest.mark.parametrize(
    ("given", "returned"),
    [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_the_type_suffices_for_the_scores(given, returned):
    done = normalize(torch.tensor([[[-60000.0, 0.0, 60000.0]]]).to(given))
    assert done.dtype == returned
    assert done.flatten().tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("sigma", [0.4, 1.5, 6.0])
def test_blur_equals_scipy(sigma):
    image = seeded(1, 20, 9).saliency[0]
    expected = gaussian_filter(image.numpy(), sigma, mode="nearest", radius=int(-(-4 * sigma // 1)))
    torch.testing.assert_close(gaussian_blur(image, sigma), torch.tensor(expected), rtol=0, atol=1e-14)
