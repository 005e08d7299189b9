"""Controls of metrics.md 4.2 and 4.4 on 224 x 224 maps, and the closed forms."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, zoom

from metrics.sharpness import _magnitude, _shuffled_variation, sharpness, tv_ratio
from tests.metrics.maps import seeded

SIDE = 224
BLURS = (0, 1, 2, 4, 8)
NOISES = (0, 5, 10, 20, 40)


def ellipse(half_width, half_height):
    line = np.arange(SIDE) - (SIDE - 1) / 2
    return ((line / half_width) ** 2 + (line[:, None] / half_height) ** 2 <= 1).astype(float)


SHAPES = {"ring": ellipse(60, 45) - ellipse(54, 39), "disk": ellipse(60, 45)}


def noise(seed=0, shape=(SIDE, SIDE)):
    return np.abs(np.random.default_rng(seed).normal(size=shape))


def scores(metric, maps):
    return metric(torch.tensor(np.stack(maps))).tolist()


def falls(values):
    return all(before > after for before, after in pairwise(values))


@pytest.mark.parametrize("shape", SHAPES)
def test_falls_with_every_step_of_blur(shape):
    assert falls(scores(sharpness, [gaussian_filter(SHAPES[shape], blur) for blur in BLURS]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_falls_with_every_step_of_noise_and_the_ratio_rises(shape, seed):
    maps = [SHAPES[shape] + percent / 100 * noise(seed) for percent in NOISES]
    assert falls(scores(sharpness, maps))
    assert falls([-ratio for ratio in scores(tv_ratio, maps)])


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_and_shuffled_pixels_are_at_the_bottom(shape):
    shuffled = np.random.default_rng(0).permutation(SHAPES[shape].ravel()).reshape(SIDE, SIDE)
    line = np.arange(SIDE) - (SIDE - 1) / 2
    blob = np.exp(-(line**2 + line[:, None] ** 2) / (2 * 40**2))
    *bottom, worst_blurred, wide_blob = scores(sharpness, [noise(), shuffled, gaussian_filter(SHAPES[shape], 8), blob])
    assert max(bottom) < 0.01
    assert min(worst_blurred, wide_blob) > 5 * max(bottom)


def test_noise_with_an_outline_and_coarse_grids_stay_below_the_sharp_ring():
    """How far the weak points reach that the docstring admits: not above what is sharp."""
    random = np.random.default_rng(0)
    grids = [
        zoom(np.maximum(random.normal(size=(cells, cells)), 0), SIDE / cells, order=1, mode="nearest", grid_mode=True)
        for cells in (3, 7, 14, 28)
    ]
    ring, in_ellipse, *coarse = scores(sharpness, [SHAPES["ring"], noise() * SHAPES["disk"], *grids])
    assert in_ellipse < ring / 3
    assert max(coarse) < 0.6 * ring
    assert max(coarse[:2]) < scores(sharpness, [gaussian_filter(SHAPES["ring"], 8)])[0]  # up to 7 x 7


@pytest.mark.parametrize("metric", [sharpness, tv_ratio])
@pytest.mark.parametrize(
    "change", [lambda m: 1e-6 * m, lambda m: -7 * m, lambda m: m + 3, lambda m: m.flip(1), torch.rot90]
)
def test_scale_sign_offset_and_direction_do_not_count(metric, change):
    """The offset does not, as long as the map stays on one side of zero."""
    maps = torch.tensor(np.stack([SHAPES["ring"] + 0.1 * noise(), gaussian_filter(SHAPES["disk"], 2)]))
    changed = torch.rot90(maps, dims=(1, 2)) if change is torch.rot90 else change(maps)
    torch.testing.assert_close(metric(changed), metric(maps), rtol=1e-9, atol=1e-12)


def test_expected_variation_equals_shuffles():
    inputs = seeded(1, 9, 13)
    random = np.random.default_rng(0)
    pixels = inputs.saliency.numpy().ravel()
    draws = random.permuted(np.tile(pixels, (20_000, 1)), axis=1).reshape(-1, 9, 13)
    variation = np.abs(np.diff(draws, axis=1)).sum((1, 2)) + np.abs(np.diff(draws, axis=2)).sum((1, 2))
    error = variation.std() / np.sqrt(len(draws))
    assert _shuffled_variation(inputs.saliency).item() == pytest.approx(variation.mean(), abs=4 * error)


def test_equal_to_the_plain_formula():
    maps = np.stack([SHAPES["ring"] + 0.1 * noise(), gaussian_filter(SHAPES["disk"], 4), noise(1) * SHAPES["disk"]])
    expected = []
    for raw in maps:
        m = np.minimum(raw, np.percentile(raw, 99)) / np.percentile(raw, 99)
        smooth = np.pad(gaussian_filter(m, 1.5, mode="nearest"), 1, mode="edge")
        slope = np.hypot(*np.gradient(smooth))[1:-1, 1:-1]
        pixels = m.ravel()
        sample = np.random.default_rng(0).choice(pixels, (2, 2_000_000))
        random_pairs = (2 * SIDE * (SIDE - 1)) * np.abs(sample[0] - sample[1]).mean()
        ratio = (np.abs(np.diff(m, axis=0)).sum() + np.abs(np.diff(m, axis=1)).sum()) / random_pairs
        expected.append(np.percentile(slope, 99.5) / np.ptp(m) * 1.5 * np.sqrt(2 * np.pi) * max(1 - ratio, 0))
    assert sharpness(torch.tensor(maps)).tolist() == pytest.approx(expected, rel=3e-3)  # the sampled pairs vary


def test_clipping_at_the_99th_percentile_spares_sparse_maps():
    hot, sparse, raised = torch.ones(3, 20, 20, dtype=torch.float64).unbind()
    hot[:10], hot[0, 0] = 0, 1000
    sparse[:], sparse[5, 5] = 0, 1
    raised[5, 5] = 3  # on a pedestal: clipping at 1 would leave a constant map
    clipped = _magnitude(torch.stack([hot, sparse, raised]))
    assert clipped.amax((1, 2)).tolist() == [1, 1, 1]
    assert clipped[0].unique().tolist() == [0, 1]
    assert clipped[1, 5, 5] == 1
    assert clipped[2].amin().item() == pytest.approx(1 / 3)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 3), (1, 8), (3, 3), (3, 4), (4, 4)])
def test_the_ratio_never_passes_two(height, width):
    """Both variations are sums over level sets, so the worst map has two values: try all of them."""
    codes = torch.arange(1, 2 ** (height * width) - 1)
    maps = (codes[:, None] >> torch.arange(height * width) & 1).view(-1, height, width).double()
    assert tv_ratio(maps).amax() < 2


def test_a_straight_edge_is_nearly_one_and_a_chequerboard_zero():
    step = torch.zeros(1, 64, 64)
    step[:, :, 32:] = 1
    chequered = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2)[None].float()
    assert 0.85 < sharpness(step).item() < 1
    assert sharpness(chequered).item() == 0
    assert tv_ratio(chequered).item() > 1


@pytest.mark.parametrize("metric", [sharpness, tv_ratio])
@pytest.mark.parametrize("value", [0.0, 0.3, -2.0, float("nan"), float("inf")])
def test_a_constant_map_or_one_that_is_not_finite_is_undefined(metric, value):
    maps = seeded(2).saliency
    maps[0] = value
    assert metric(maps).isnan().tolist() == [True, False]


@pytest.mark.parametrize("metric", [sharpness, tv_ratio])
def test_a_single_infinite_pixel_is_not_clipped_away(metric):
    maps = seeded(2).saliency
    maps[0, 3, 3] = torch.inf
    assert metric(maps).isnan().tolist() == [True, False]
