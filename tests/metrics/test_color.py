"""Against scikit-image's CIELAB, a slow window and scipy's rank correlation; and the controls that the claim needs."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from skimage.color import rgb2lab

from metrics.color import _marked_variation, cielab, color_variation, color_variation_null, local_variation
from tests.metrics.maps import Inputs, seeded

BOTH = [color_variation, color_variation_null]
NAN = float("nan")


def score(metric, inputs: Inputs):
    return metric(inputs.saliency, inputs.mask, inputs.images)


def ellipse(height, width, half_height, half_width):
    rows, columns = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    return torch.tensor((rows[:, None] / half_height) ** 2 + (columns / half_width) ** 2 <= 1)


@pytest.fixture(scope="module")
def lesions():
    """Six images of soft colors with a lopsided blob for a mask; the maps have many ties and know a little of them."""
    random = np.random.default_rng(3)
    shape = (6, 40, 50)
    images = gaussian_filter(random.random((6, 3, 40, 50)), (0, 0, 2, 2))
    images = (images - images.min()) / np.ptp(images)
    mask = gaussian_filter(random.random(shape), (0, 5, 5))
    mask = mask > np.quantile(mask, 0.6, axis=(1, 2), keepdims=True)
    contrast = np.sqrt(np.square(np.gradient(images, axis=(2, 3))).sum((0, 2)))
    saliency = np.maximum(contrast / contrast.std() + 0.7 * random.normal(size=shape), 0).round(1)
    return seeded(6, 40, 50).replace(
        saliency=torch.tensor(saliency), mask=torch.tensor(mask), images=torch.tensor(images)
    )


def slow_variation(image, reach, row, column):
    """Of one pixel of a CIELAB image (H, W, 3)."""
    window = image[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    return np.sqrt(window.reshape(-1, 3).var(axis=0).sum())


def slow_scores(saliency, mask, image):
    """Plain and null score of one image, pixel by pixel."""
    lab, marked = rgb2lab(np.moveaxis(image, 0, 2)), [tuple(pixel) for pixel in np.argwhere(mask)]
    variation = {pixel: slow_variation(lab, 1, *pixel) for pixel in marked}
    plain = [(saliency[pixel], variation[pixel]) for pixel in marked]
    rows, columns = zip(*marked, strict=True)
    turned = {(r, c): (min(rows) + max(rows) - r, min(columns) + max(columns) - c) for r, c in marked}
    null = [(saliency[turned[pixel]], variation[pixel]) for pixel in marked if mask[turned[pixel]]]
    return [spearmanr(*zip(*pairs, strict=True)).statistic for pairs in (plain, null)]


def test_cielab_equals_scikit_image():
    """They differ in the last digits of white only; black, white and the knee of the curve are among the colors."""
    images = seeded(3, 20, 20).images
    images[0, :, :4] = torch.linspace(0, 0.05, 80, dtype=torch.float64).view(4, 20)
    images[0, :, 4], images[0, :, 5] = 0, 1
    expected = np.moveaxis(rgb2lab(np.moveaxis(images.numpy(), 1, 3)), 3, 1)
    np.testing.assert_allclose(cielab(images).numpy(), expected, atol=0.03)


def test_grays_have_no_color():
    grays = torch.linspace(0, 1, 256, dtype=torch.float64).expand(1, 3, 1, 256)
    lightness, *colors = cielab(grays)[0]
    assert all(channel.abs().max() < 1e-12 for channel in colors)
    assert [lightness[0, 0].item(), lightness[0, -1].item()] == pytest.approx([0, 100], abs=1e-12)


@pytest.mark.parametrize(
    ("height", "width", "reach"), [(9, 14, 1), (75, 80, 1), (128, 150, 2), (224, 230, 3), (450, 450, 6)]
)
def test_variation_equals_a_slow_window(height, width, reach):
    random = np.random.default_rng(0)
    images = gaussian_filter(random.random((1, 3, height, width)), (0, 0, 1, 1))
    lab = rgb2lab(np.moveaxis(images[0], 0, 2))
    actual = local_variation(torch.tensor(images))[0]
    assert actual.shape == (height, width)
    pixels = [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (1, width // 2)]
    pixels += list(zip(random.integers(0, height, 200), random.integers(0, width, 200), strict=True))
    expected = [slow_variation(lab, reach, *pixel) for pixel in pixels]
    assert [actual[pixel].item() for pixel in pixels] == pytest.approx(expected, rel=1e-3, abs=2e-3)


def test_areas_of_one_color_have_no_variation_at_all():
    """Not nearly none: rounding would order them."""
    colors = torch.tensor(np.random.default_rng(0).integers(0, 256, (500, 3, 1, 1), dtype=np.uint8))
    assert (local_variation((colors.float() / 255).expand(-1, -1, 9, 9)) == 0).all()


def test_both_scores_equal_slow_ones_on_other_libraries(lesions):
    fields = (field.numpy() for field in (lesions.saliency, lesions.mask, lesions.images))
    plain, null = zip(*(slow_scores(*one) for one in zip(*fields, strict=True)), strict=True)
    assert score(color_variation, lesions).tolist() == pytest.approx(plain, abs=1e-3)
    assert score(color_variation_null, lesions).tolist() == pytest.approx(null, abs=1e-3)
    assert min(plain) > 0.05  # the maps of the fixture know something
    assert max(map(abs, null)) > 0.05  # and turned they do not all score zero


@pytest.mark.parametrize("levels", [2, 5, None])
def test_ranks_are_those_of_scipy(lesions, levels):
    """To the last digits, ties included, since the variation is our own here."""
    saliency = lesions.saliency if levels is None else (lesions.saliency * levels).remainder(levels).floor()
    variation = local_variation(lesions.images)
    expected = [
        spearmanr(one[inside], other[inside]).statistic
        for one, other, inside in zip(saliency, variation, lesions.mask, strict=True)
    ]
    actual = color_variation(saliency, lesions.mask, lesions.images)
    assert actual.tolist() == pytest.approx(expected, abs=1e-12)


def test_a_map_that_follows_the_colors_scores_one_and_its_opposite_minus_one(lesions):
    variation = local_variation(lesions.images)
    for rising in (variation, variation**3, variation.clamp(min=1e-9).log()):
        assert color_variation(rising, lesions.mask, lesions.images).tolist() == [1] * 6
        assert color_variation(-rising, lesions.mask, lesions.images).tolist() == [-1] * 6


def test_a_random_map_scores_nothing():
    """Mean over 500 draws, and their spread, which is known: 1 / sqrt(n - 1)."""
    image, mask = torch.tensor(np.random.default_rng(0).random((1, 3, 20, 20))), ellipse(20, 20, 8, 6)[None]
    maps = torch.tensor(np.random.default_rng(1).random((500, 20, 20)))
    number = int(mask.sum())
    for metric in BOTH:
        scores = metric(maps, mask.expand(500, -1, -1), image.expand(500, -1, -1, -1))
        assert scores.mean().abs() < 4 / np.sqrt(500 * (number - 1))
        assert scores.std().item() == pytest.approx(1 / np.sqrt(number - 1), rel=0.15)


def test_a_map_that_is_merely_central_scores_no_more_than_its_null():
    """On a lesion darker at its rim both are far from zero, and the same, as the mask is symmetric."""
    mask = ellipse(60, 70, 22, 17)
    soft = gaussian_filter(mask.double().numpy(), 3)
    noise = np.random.default_rng(0).normal(size=(3, 60, 70)) / 50
    images = torch.tensor(np.clip(0.8 - 0.5 * soft + noise, 0, 1))[None]
    bell = torch.tensor(gaussian_filter(soft, 10))[None]
    plain, null = (metric(bell, mask[None], images).item() for metric in BOTH)
    assert plain < -0.4
    assert null == pytest.approx(plain, abs=1e-9)
    own, turned = (metric(local_variation(images), mask[None], images).item() for metric in BOTH)
    assert own == 1
    assert 0.2 < turned < 0.8  # why the null is not subtracted


def test_the_turn_is_about_the_box_of_the_mask_wherever_it_lies(lesions):
    """The map of opposite places, made by hand, has for its null what the map itself has for its score."""
    mask = torch.zeros(1, 40, 50, dtype=torch.bool)
    mask[0, 3:20, 30:48] = ellipse(17, 18, 8.4, 8.9)
    turned = torch.full((1, 40, 50), 7.0, dtype=torch.float64)
    turned[0, 3:20, 30:48] = lesions.saliency[0, 3:20, 30:48].flip(0, 1)
    images = lesions.images[:1]
    expected = color_variation(lesions.saliency[:1], mask, images)
    assert torch.equal(color_variation_null(turned, mask, images), expected)


@pytest.mark.parametrize("metric", BOTH)
def test_only_order_within_the_mask_counts(lesions, metric):
    expected = score(metric, lesions)
    changed_outside = lesions.saliency.where(lesions.mask, torch.rand(lesions.mask.shape).double())
    assert torch.equal(score(metric, lesions.replace(saliency=changed_outside)), expected)
    assert torch.equal(score(metric, lesions.replace(saliency=1e-3 * lesions.saliency.exp() - 5)), expected)


@pytest.mark.parametrize("metric", BOTH)
def test_neither_company_nor_the_type_of_the_image_counts(lesions, metric):
    together = score(metric, lesions)
    alone = torch.cat([score(metric, lesions.take(slice(n, n + 1))) for n in range(6)])
    assert torch.equal(alone, together)
    rounded = (lesions.images * 255).round() / 255
    torch.testing.assert_close(
        score(metric, lesions.replace(images=rounded.float())),
        score(metric, lesions.replace(images=rounded)),
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize(("pixels", "defined"), [(0, False), (1, False), (9, False), (10, True)])
def test_a_tiny_mask_is_undefined(metric, pixels, defined):
    inputs = seeded(2)
    inputs.mask[0] = False
    inputs.mask[0, 4, :pixels] = True
    assert score(metric, inputs).isfinite().tolist() == [defined, True]


def test_the_null_is_undefined_where_too_few_pixels_have_an_opposite():
    """Two blocks that overlap with nothing when turned."""
    inputs = seeded(1)
    inputs.mask[:] = False
    inputs.mask[0, :4, :5] = inputs.mask[0, 8:, :5] = inputs.mask[0, 5, 14] = True
    assert [score(metric, inputs).isfinite().item() for metric in BOTH] == [True, False]


@pytest.mark.parametrize("metric", BOTH)
def test_a_full_mask_is_defined(metric):
    inputs = seeded(2)
    assert score(metric, inputs.replace(mask=torch.ones_like(inputs.mask))).isfinite().all()


@pytest.mark.parametrize("metric", BOTH)
def test_what_is_constant_within_the_mask_is_undefined(metric):
    inputs = seeded(3)
    inputs.mask[:, 2:8, 2:8] = True
    inputs.mask[0] = False
    inputs.mask[0, 2:8, 2:8] = True
    inputs.saliency[0, 2:8, 2:8] = 0.3
    inputs.images[1] = 0.7
    assert score(metric, inputs).isnan().tolist() == [True, True, False]


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize("value", [NAN, float("inf"), float("-inf")])
def test_a_map_that_is_not_finite_is_undefined_even_outside_the_mask(metric, value):
    inputs = seeded(2)
    inputs.mask[0, 4, 4] = False
    inputs.saliency[0, 4, 4] = value
    assert score(metric, inputs).isnan().tolist() == [True, False]


@pytest.mark.parametrize("side", [9, 40, 96])
def test_the_variation_of_marked_pixels_is_that_of_the_whole_image(side):
    """Only a box around each mask is computed. Masks at every border, scattered, full and empty."""
    generator = torch.Generator().manual_seed(side)
    images = torch.randint(256, (6, 3, side, side + 5), generator=generator) / 255
    mask = torch.zeros(6, side, side + 5, dtype=torch.bool)
    mask[0, :2, :3] = mask[1, -3:, -4:] = mask[2, 3:7, 2:8] = mask[3] = True
    mask[4] = torch.rand(side, side + 5, generator=generator) > 0.95
    assert torch.equal(_marked_variation(images, mask), local_variation(images)[mask])
    assert _marked_variation(images[5:], mask[5:]).numel() == 0
