"""The controls of metrics.md 4.2 and 4.4, the closed forms, and slow oracles."""

from math import pi, sqrt

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d, gaussian_filter

from metrics.sharpness import BLUR_SIGMA, _clip, _shuffled_blur, _shuffled_variation, _slope, _top, sharpness, tv_ratio
from metrics.smoothing import gaussian_blur
from metrics.sorting import distribution
from tests.metrics.maps import seeded
from tests.metrics.sharpness_controls import (
    CELLS,
    SIDE,
    as_coarse,
    blob,
    blurred,
    coarse,
    drawn,
    ellipse,
    falls,
    noise,
    noisy,
    scores,
    shuffled,
    speck,
    structured,
)

SIDES = (96, 128, SIDE)
SHAPES = list(structured(0))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", SHAPES)
def test_falls_with_every_step_of_blur(name, side):
    for seed in range(3):
        assert falls(scores(sharpness, blurred(structured(seed, side)[name])))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", SHAPES)
def test_falls_with_every_step_of_noise(name, side):
    for seed in range(3):
        assert falls(scores(sharpness, noisy(structured(seed, side)[name], seed)))


@pytest.mark.parametrize("shape", ["ring", "disk"])
def test_the_ratio_rises_with_every_step_of_noise(shape):
    assert falls([-ratio for ratio in scores(tv_ratio, noisy(structured(0)[shape], 0))])


@pytest.mark.parametrize("side", SIDES)
def test_noise_and_every_shuffled_map_lie_below_every_structured_one(side):
    """Noisy and blurred as far as the controls go; shuffles of the sharp shapes and of blurred ones."""
    low, high = [], []
    for seed in range(4):
        for name, pixels in structured(seed, side).items():
            low += [shuffled(pixels, seed), shuffled(gaussian_filter(pixels, 4), seed)]
            high += [pixels, noisy(pixels, seed)[-1]] + (blurred(pixels) if name in {"ring", "disk"} else [])
        low += [noise(seed, side), speck(0.05, seed, side)]
    assert max(scores(sharpness, low)) < min(scores(sharpness, high)) / 2


@pytest.mark.parametrize("cells", CELLS)
def test_an_enlarged_grid_is_as_sharp_as_its_interpolation_allows(cells):
    """Below sharp shapes and those blurred less than the grid, at most 1.3 times those blurred alike."""
    less = {7: 8, 14: 4, 28: 2}[cells]
    for seed in range(4):
        grid = scores(sharpness, [coarse(cells, seed)])[0]
        for name in ("ring", "disk"):
            pixels = structured(seed)[name]
            sharp, softer, alike = scores(sharpness, [pixels, gaussian_filter(pixels, less), as_coarse(pixels, cells)])
            assert grid < 0.8 * sharp
            assert grid < softer
            assert grid < 1.3 * alike


def test_noise_that_multiplies_the_structure_is_not_seen_but_by_the_ratio():
    """The limit that falling with every blur costs, as the docstring admits it."""
    bare, noise_under, specks = blob(40), noise(0) * blob(40), speck(0.04, 0) * blob(40)
    plain, noisy_score, speckled = scores(sharpness, [bare, noise_under, specks])
    assert plain < noisy_score < 1.5 * plain
    assert speckled > 2 * plain
    smooth, *rough = scores(tv_ratio, [bare, noise_under, specks])
    assert smooth < 0.1
    assert min(rough) > 0.4


@pytest.mark.parametrize("metric", [sharpness, tv_ratio])
@pytest.mark.parametrize("change", [lambda m: 1e-6 * m, lambda m: -7 * m, lambda m: m.flip(1), torch.rot90])
def test_scale_sign_and_direction_do_not_count(metric, change):
    maps = torch.tensor(np.stack([structured(0)["ring + 10 % noise"], gaussian_filter(ellipse(60, 45), 2)]))
    changed = torch.rot90(maps, dims=(1, 2)) if change is torch.rot90 else change(maps)
    torch.testing.assert_close(metric(changed), metric(maps), rtol=1e-9, atol=1e-12)


def test_an_offset_is_haze_to_the_sharpness_and_nothing_to_the_ratio():
    maps = np.stack(list(structured(0).values()))
    offsets = [torch.tensor(maps + offset) for offset in (0, 0.01, 0.1, 1)]
    assert all(falls(values) for values in torch.stack([sharpness(raised) for raised in offsets], 1).tolist())
    torch.testing.assert_close(tv_ratio(offsets[3]), tv_ratio(offsets[0]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.5, 1.5), (3.0, 1.0)])
@pytest.mark.parametrize("blur", [0, 3, 6])
def test_a_straight_edge_scores_half_its_contrast_and_less_by_its_blur(low, high, blur):
    """In the continuum; the map is so high that its border and the differences on the grid cost a few per cent."""
    edge = torch.full((1, 400, 100), low, dtype=torch.float64)
    edge[:, 200:] = high
    edge = gaussian_blur(edge, blur) if blur else edge
    expected = abs(high - low) / (high + low) / 2 * BLUR_SIGMA / sqrt(BLUR_SIGMA**2 + blur**2)
    assert sharpness(edge).item() == pytest.approx(expected, rel=0.03)


def test_a_thin_line_is_as_steep_as_a_quarter_of_pi_and_a_point_as_one():
    line, point = torch.zeros(2, 1, 100, 100).unbind()
    line[:, 50] = 1
    point[:, 50, 50] = 1
    slopes = _slope(gaussian_blur(torch.cat([line, point]), BLUR_SIGMA))
    assert slopes.tolist() == pytest.approx([pi / 4, 1], rel=0.05)
    assert 0.7 * pi / 4 < sharpness(line).item() < slopes[0]  # chance takes some from so sparse a map


def test_alternating_pixels_and_a_single_one_have_no_structure():
    chequered = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2)[None].float()
    point = torch.zeros(1, 64, 64)
    point[0, 30, 31] = 1
    assert sharpness(torch.cat([chequered, point])).tolist() == [0, 0]
    assert tv_ratio(chequered).item() > 1


def slow_sharpness(pixels):
    """The docstring, literally: scipy's blur with a kernel that ends at four sigma, loops, shuffles in closed form."""
    u = np.abs(pixels)
    height, width = u.shape
    reach = np.arange(-12, 13)
    kernel = np.exp(-(reach**2) / 18)
    kernel /= kernel.sum()

    def blur(image):
        return correlate1d(correlate1d(image, kernel, axis=0, mode="nearest"), kernel, axis=1, mode="nearest")

    v = blur(u)
    steep = weight = 0.0
    for row in range(height):
        for column in range(width):
            down = v[min(row + 1, height - 1), column] - v[max(row - 1, 0), column]
            right = v[row, min(column + 1, width - 1)] - v[row, max(column - 1, 0)]
            size = np.hypot(down, right) / 2
            steep += size**2
            weight += size * v[row, column]
    slope = min(sqrt(pi) * 3 / 2 * steep / weight, 1)
    n = u.size
    points = np.eye(n).reshape(n, height, width)
    matrix = np.stack([blur(point).ravel() for point in points], axis=1)  # the blur of all pixels as one matrix
    expected = ((matrix**2).sum() - 1) * n / (n - 1)
    deviation = sqrt(2 * (((matrix.T @ matrix) ** 2).sum() - 1))
    chance = u.var() * (expected + 3 * deviation)
    return slope * max(1 - chance / ((v - u.mean()) ** 2).sum(), 0)


def test_equal_to_the_literal_loops():
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:36, :44]
    maps = [
        (rows > 17) + 0.1 * random.random((36, 44)),
        -3.0 * (columns > 20),
        np.exp(-((rows - 15) ** 2 + (columns - 9) ** 2) / 200) + 0.2,
        np.abs(random.normal(size=(36, 44))) * (rows > 24),
    ]
    expected = [slow_sharpness(pixels) for pixels in maps]
    assert min(expected) > 0.05
    assert scores(sharpness, maps) == pytest.approx(expected, rel=1e-9)


def test_chance_equals_shuffles():
    """The expectation exactly, over any values; the deviation for normal ones, within a few per cent."""
    random = np.random.default_rng(0)
    pixels = random.normal(size=(40, 56))
    pixels = (pixels - pixels.mean()) / pixels.std()
    draws = random.permuted(np.tile(pixels.ravel(), (2000, 1)), axis=1).reshape(-1, *pixels.shape)
    actual = gaussian_blur(torch.tensor(draws), BLUR_SIGMA).square().sum((1, 2)).numpy()
    expected, deviation = _shuffled_blur(*pixels.shape, torch.device("cpu"))
    assert expected.item() == pytest.approx(actual.mean(), abs=4 * actual.std() / sqrt(len(actual)))
    assert deviation.item() == pytest.approx(actual.std(), rel=0.1)


def test_blur_and_noise_lower_it_on_gradients_of_networks(real_data):
    """Maps of a network of two layers, fitted for seconds: most fall with every step, all lie above their shuffle."""
    from PIL import Image  # noqa: PLC0415 - only where there are real images

    paths = sorted((real_data / "isic2018-128").rglob("*.jpg"))[:32]
    images = torch.tensor(np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths]))
    images = images.permute(0, 3, 1, 2).float() / 255
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 7, stride=2, padding=3), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 5, stride=2)]
    model = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten())
    model.append(torch.nn.Linear(256, 2))
    darkness = images.mean((1, 2, 3))
    labels = (darkness < darkness.median()).long()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(10):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    maps = drawn(model, images[:8], draws=4)
    for pixels in (*maps["gradient"], *maps["SmoothGrad"]):
        own, other = scores(sharpness, [pixels, shuffled(pixels, 0)])
        assert own > other
    smooth = maps["SmoothGrad"]
    assert np.mean([falls(scores(sharpness, blurred(pixels))) for pixels in smooth]) > 0.5
    assert np.mean([falls(scores(sharpness, noisy(pixels, 0))) for pixels in smooth]) > 0.5


def test_expected_variation_equals_shuffles():
    inputs = seeded(1, 9, 13)
    random = np.random.default_rng(0)
    pixels = inputs.saliency.numpy().ravel()
    draws = random.permuted(np.tile(pixels, (20_000, 1)), axis=1).reshape(-1, 9, 13)
    variation = np.abs(np.diff(draws, axis=1)).sum((1, 2)) + np.abs(np.diff(draws, axis=2)).sum((1, 2))
    error = variation.std() / np.sqrt(len(draws))
    sizes = distribution(inputs.saliency)
    actual = _shuffled_variation(sizes.values, sizes.rank_weights(), 9, 13)
    assert actual.item() == pytest.approx(variation.mean(), abs=4 * error)


def test_the_ratio_equals_the_plain_formula():
    maps = [structured(0)["ring + 10 % noise"], gaussian_filter(ellipse(60, 45), 4), noise(1) * ellipse(60, 45)]
    expected = []
    for raw in maps:
        m = np.minimum(raw, np.percentile(raw, 99)) / np.percentile(raw, 99)
        sample = np.random.default_rng(0).choice(m.ravel(), (2, 2_000_000))
        random_pairs = (2 * SIDE * (SIDE - 1)) * np.abs(sample[0] - sample[1]).mean()
        expected.append((np.abs(np.diff(m, axis=0)).sum() + np.abs(np.diff(m, axis=1)).sum()) / random_pairs)
    assert scores(tv_ratio, maps) == pytest.approx(expected, rel=3e-3)  # the sampled pairs vary


def test_clipping_at_the_99th_percentile_spares_sparse_maps():
    hot, sparse, raised = torch.ones(3, 20, 20, dtype=torch.float64).unbind()
    hot[:10], hot[0, 0] = 0, 1000
    sparse[:], sparse[5, 5] = 0, 1
    raised[5, 5] = 3  # on a pedestal: clipping at 1 would leave a constant map
    maps = torch.stack([hot, sparse, raised]).double()
    clipped = _clip(maps, _top(distribution(maps))[:, None, None])
    assert clipped.amax((1, 2)).tolist() == [1, 1, 1]
    assert clipped[0].unique().tolist() == [0, 1]
    assert clipped[1, 5, 5] == 1
    assert clipped[2].amin().item() == pytest.approx(1 / 3)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 3), (1, 8), (3, 3), (3, 4), (4, 4)])
def test_on_tiny_maps_the_ratio_never_passes_two_nor_sharpness_its_bounds(height, width):
    """Both variations are sums over level sets, so the worst map has two values: try all of them."""
    codes = torch.arange(1, 2 ** (height * width) - 1)
    maps = (codes[:, None] >> torch.arange(height * width) & 1).view(-1, height, width).double()
    assert tv_ratio(maps).amax() < 2
    assert ((sharpness(maps) >= 0) & (sharpness(maps) <= 1)).all()


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


def test_sharpness_does_not_depend_on_the_batch_nor_much_on_the_type():
    maps = torch.tensor(np.stack([pixels for seed in range(2) for pixels in structured(seed, 96).values()]))
    whole = sharpness(maps)
    assert whole.dtype == torch.float64
    assert whole.min() > 0.05
    torch.testing.assert_close(torch.cat([sharpness(one[None]) for one in maps]), whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(sharpness(maps.float()), whole, rtol=1e-5, atol=0)
    torch.testing.assert_close(sharpness(maps.half()), whole, rtol=1e-2, atol=0)
