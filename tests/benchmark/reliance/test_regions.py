"""Regions, the same shape elsewhere, and random regions."""

import numpy as np
import pytest
from scipy import ndimage

from benchmark.reliance.fills import FILLS
from benchmark.reliance.regions import build_region, choose_superpixels, find_object, find_places

SIDE = 64


def square(top, left, side=8):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(60, 200, (SIDE, SIDE, 3), dtype=np.uint8)


def test_a_region_grows_and_has_a_ring_around_it():
    region = build_region(square(20, 20))
    assert region.mask.sum() > 8 * 8
    assert region.mask[18, 22]
    assert not region.mask[17, 22]
    assert not (region.mask & region.ring).any()
    assert region.ring[15, 22]
    assert not region.ring[14, 22]


def test_no_region_without_a_mask_and_of_most_of_the_image():
    assert build_region(square(0, 0, 0)) is None
    assert build_region(square(0, 0, 60)) is None
    assert build_region(np.ones((SIDE, SIDE), dtype=bool)) is None


def test_places_have_the_shape_and_do_not_touch_the_region(pixels):
    region = build_region(square(4, 40))
    places = find_places(region, pixels, "image", 4)
    assert len(places) == 4
    for place in places:
        assert place.mask.sum() == region.mask.sum()
        assert not (place.mask & region.mask).any()
        assert not (place.ring & (region.mask | place.mask)).any()
        rows, columns = (np.flatnonzero(place.mask.any(axis=axis)) for axis in (1, 0))
        assert np.ptp(rows) + 1 == len(rows)  # whole, although the image has room only in part
        assert np.ptp(columns) + 1 == len(columns)
    assert len({place.mask.tobytes() for place in places}) == 4


def test_a_large_shape_continues_at_the_opposite_edge(pixels):
    region = build_region(square(19, 19, 26))
    places = find_places(region, pixels, "image", 4)
    assert places
    assert all(place.mask.sum() == region.mask.sum() and not (place.mask & region.mask).any() for place in places)


def test_a_shape_that_overlaps_everywhere_lacks_a_part(pixels):
    region = build_region(square(14, 14, 32))
    places = find_places(region, pixels, "image", 4)
    assert places
    for place in places:
        assert not (place.mask & region.mask).any()
        assert 0.75 * region.mask.sum() <= place.mask.sum() < region.mask.sum()
    assert not find_places(build_region(square(8, 8, 41)), pixels, "image", 4)


def test_places_are_on_the_object(pixels):
    framed = pixels.copy()
    framed[:, :24] = 0
    framed[40:, :] = 0
    region = build_region(square(8, 30, 6))
    places = find_places(region, framed, "image", 4)
    assert places
    for place in places:
        assert (place.mask & find_object(framed)).sum() >= 0.9 * place.mask.sum()


def test_a_dark_lesion_inside_is_part_of_the_object(pixels):
    holed = pixels.copy()
    holed[20:30, 20:30] = 0
    assert find_object(holed).all()
    holed[:, 0] = 0
    assert (~find_object(holed)).sum() == SIDE


def test_the_name_alone_seeds_the_choice(pixels):
    region = build_region(square(20, 20))
    first, again = ([place.mask for place in find_places(region, pixels, "a", 4)] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, [place.mask for place in find_places(region, pixels, "b", 4)])


def test_superpixels_are_different_and_small(pixels):
    smooth = ndimage.gaussian_filter(pixels, (6, 6, 0))
    one, two = choose_superpixels(smooth, "image", 2)
    assert not (one & two).any()
    assert 0 < one.mean() <= 1 / 8
    assert 0 < two.mean() <= 1 / 8


def test_an_image_of_one_color_may_have_none():
    assert all(mask.any() for mask in choose_superpixels(np.zeros((SIDE, SIDE, 3), dtype=np.uint8), "image", 2))


@pytest.mark.parametrize("fill", FILLS)
def test_a_fill_shows_nothing_of_the_region(fill, pixels):
    region = build_region(square(20, 20))
    other = pixels.copy()
    other[region.mask] = 255 - other[region.mask]
    filled = FILLS[fill](pixels, region.mask, region.ring)
    np.testing.assert_array_equal(filled, FILLS[fill](other, region.mask, region.ring))
    np.testing.assert_array_equal(filled[~region.mask], pixels[~region.mask])
    assert (filled[region.mask] != pixels[region.mask]).any()


@pytest.mark.parametrize("fill", FILLS)
def test_a_fill_of_one_color_is_invisible(fill):
    region = build_region(square(20, 20))
    plain = np.full((SIDE, SIDE, 3), (10, 100, 250), dtype=np.uint8)
    np.testing.assert_array_equal(FILLS[fill](plain, region.mask, region.ring), plain)


def test_the_blur_reaches_the_middle_of_a_large_region():
    mask = np.zeros((224, 224), dtype=bool)
    mask[30:190, 30:190] = True
    plain = np.full((224, 224, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(FILLS["blur"](plain, mask, ~mask), plain)
