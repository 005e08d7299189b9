"""Reliance: what was built into networks is recovered, equals a literal loop, and is nothing where nothing is used."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmark.reliance import PREFIX, ratios
from benchmark.reliance.fills import FILLS
from benchmark.reliance.measure import measure_reliance
from benchmark.reliance.regions import build_region, choose_superpixels, find_places
from benchmark.reliance.stored import StoredVariants, write_variants
from benchmark.reliance.variants import MAX_VARIANTS, NUM_PLACES, NUM_SUPERPIXELS, Variant, build_variants
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.ratios import mean_of_finite
from benchmark.statistics.resampling import resampling
from tests.benchmark.reliance.networks import BLUE, LAYER, RED, SIDE, Reader, pictures

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images():
    return pictures()[0]


def measured(model, images):
    return measure_reliance(model.eval(), LAYER, images, CPU)


def test_a_network_that_reads_the_lesion_relies_on_it(images):
    frame = measured(Reader(RED), images)
    reliance = ratios.reliance(frame)
    # Half of the images have a lesion to read. The others show nothing but the absence of red.
    assert reliance[1::2].mean() > 0.9
    assert abs(reliance[::2]).max() < 0.01
    assert ratios.answer_changed(frame)[1::2].mean() == 1
    assert ratios.mean_over_fills(frame, "control", "changed").max() == 0


def test_a_network_that_reads_the_mark_does_not_rely_on_the_lesion(images):
    frame = measured(Reader(BLUE), images)
    assert abs(ratios.reliance(frame).mean()) < 0.1
    assert ratios.answer_changed(frame).max() == 0


def test_a_network_that_reads_both_relies_on_the_lesion_where_it_decides(images):
    frame = measured(Reader(RED, BLUE), images)
    reliance = ratios.reliance(frame)
    alone = np.arange(len(images)) % 4 == 3
    assert reliance[alone].mean() > 0.9
    assert abs(reliance[~alone]).mean() < 0.2


@pytest.mark.parametrize("fill", FILLS)
def test_every_fill_finds_it(images, fill):
    assert ratios.reliance(measured(Reader(RED), images), [fill])[1::2].mean() > 0.9


def literal(model, images, index):
    """The same measures of one image, one forward pass after another."""
    pixels, label, name = images.pixels[index], images.labels[index], images.names[index]

    def answer(changed):
        features = []
        handle = model.get_submodule(LAYER).register_forward_hook(lambda *call: features.append(call[-1]))
        inputs = torch.tensor(changed).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            p = model(inputs)[0].double().softmax(0).numpy()
        handle.remove()
        return p, features[0].double().mean(dim=(2, 3))[0].numpy()

    original, features = answer(pixels)
    predicted = original.argmax()

    def compare(changed):
        p, moved = answer(changed)
        distance = float(((moved - features) ** 2).sum() ** 0.5)
        return [original[predicted] - p[predicted], p.argmax() != predicted, p.argmax() == label, distance]

    expected = {}
    region = build_region(images.expert_masks[index])
    places = find_places(region, pixels, name, NUM_PLACES) if region else []
    if places:
        for (fill, compute), chosen in zip(FILLS.items(), ([0, 1], [2], [3]), strict=True):
            expected[f"region {fill}"] = compare(compute(pixels, region.mask, region.ring))
            used = sorted({number % len(places) for number in chosen})
            rows = [compare(compute(pixels, places[number].mask, places[number].ring)) for number in used]
            expected[f"control {fill}"] = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    for number, mask in enumerate(choose_superpixels(pixels, name, NUM_SUPERPIXELS)):
        if part := build_region(mask):
            expected[f"superpixel {number}"] = compare(FILLS["ring"](pixels, part.mask, part.ring))
    return expected, features


def random_network(seed=0):
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def odd_images():
    """Also without a mask, with a mask of everything, and with one that has no room elsewhere."""
    images, _ = pictures(10)
    masks = images.expert_masks.copy()
    masks[0] = False
    masks[1] = True
    masks[2] = False
    masks[2, 4:27, 4:27] = True
    return replace(images, expert_masks=masks)


def test_it_equals_a_literal_loop(odd_images):
    model = random_network()
    frame = measured(model, odd_images)
    rows = [literal(model, odd_images, index) for index in range(len(odd_images))]
    spread = np.sqrt(2 * np.var([features for _, features in rows], axis=0, ddof=1).sum())
    for index, (expected, _) in enumerate(rows):
        for version, values in expected.items():
            got = [frame.loc[index, f"{PREFIX}{version} {name}"] for name in ("drop", "changed", "correct", "shift")]
            np.testing.assert_allclose(got, [*values[:3], values[3] / spread], rtol=0, atol=1e-6)
    assert any("control blur" in expected for expected, _ in rows)


def test_images_without_a_region_are_undefined(odd_images):
    frame = measured(random_network(), odd_images)
    undefined = np.isnan(ratios.reliance(frame))
    assert undefined[:3].all()
    assert not undefined[3:].any()
    assert np.isfinite(frame[f"{PREFIX}superpixel 0 drop"][:2]).all()
    assert frame[f"{PREFIX}area"].tolist()[:2] == [0, 1]


def test_the_batch_does_not_count(images):
    model = random_network()
    whole = measured(model, images)
    parts = []
    for index in range(3):
        rows = slice(8 * index, 8 * index + 8)
        cut = {name: getattr(images, name)[rows] for name in ("pixels", "expert_masks", "labels", "names")}
        parts.append(measured(model, replace(images, **cut)))
    joined = pd.concat(parts, ignore_index=True)
    # Shifts are relative to the other images, and only they may differ.
    names = [name for name in whole if not name.endswith("shift")]
    np.testing.assert_allclose(joined[names], whole[names], rtol=0, atol=1e-6)


def test_twelve_forward_passes_at_most(images):
    passes = []
    model = random_network()
    model.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    measured(model, images)
    assert sum(passes) <= MAX_VARIANTS * len(images)
    assert sum(passes) > 6 * len(images)


def _random_versions(images, seed):
    """Textures with a random place filled, and with its control filled. What is there says nothing of the labels."""
    rng = np.random.default_rng(seed)
    for mask, name in zip(images.expert_masks, images.names, strict=True):
        texture = rng.normal(128, 40, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
        # A torus shift: region and control then come from one distribution.
        region = build_region(np.roll(mask, rng.integers(0, SIDE, 2), (0, 1)))
        (place,) = find_places(region, texture, f"{seed}{name}", 1)
        yield [FILLS["ring"](texture, part.mask, part.ring) for part in (region, place)]


def test_no_reliance_in_networks_that_know_nothing():
    """The interval of the tables holds 0 in 95 % of 200 trials. `tests.benchmark.reliance.trials` has the whole."""
    images, _ = pictures(30, seed=7, radius=3)
    draws, found = resampling(list(images.names)), 0
    # Networks share their images by twenties: with one set for all, its chance differences would count 200 times.
    for number in range(10):
        inputs = torch.tensor(np.concatenate(list(_random_versions(images, number)))).permute(0, 3, 1, 2).float() / 255
        statistics = {}
        for trial in range(20):
            with torch.no_grad():
                p = (20 * random_network(20 * number + trial)(inputs)).softmax(1)[:, 0].numpy().reshape(-1, 2)
            statistics[trial] = [mean_of_finite((p[:, 1] - p[:, 0]).astype(np.float64))]
        results = estimates(statistics, draws, row="random", bounds=dict.fromkeys(statistics, ratios.BOUNDS))
        found += sum(not each.low <= 0 <= each.high for each in results.values())
    assert 0.03 <= found / 200 <= 0.07


def test_versions_of_an_image_differ_only_where_they_should(images):
    pixels, mask = images.pixels[1], images.expert_masks[1]
    region = build_region(mask)
    versions = list(build_variants(pixels, mask, "image1"))
    assert {"region", "control", "only"} <= {version.role for version in versions}
    for version in versions:
        changed = (version.pixels != pixels).any(axis=-1)
        if version.role == "region":
            assert changed[mask].all()
            assert not (changed & ~region.mask).any()
        if version.role in {"control", "only"}:
            assert not (changed & region.mask).any()
            assert changed.any()


def test_stored_versions_are_those_that_were_built(images, tmp_path):
    built = [images.variants(index) for index in range(len(images))]
    write_variants(tmp_path / "versions", built)
    stored = replace(images, stored=StoredVariants(tmp_path / "versions"))
    for index, expected in enumerate(built):
        loaded = stored.variants(index)
        assert [(each.role, each.detail) for each in loaded] == [(each.role, each.detail) for each in expected]
        assert all((one.pixels == other.pixels).all() for one, other in zip(loaded, expected, strict=True))


def test_an_image_without_versions_is_stored(tmp_path):
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    write_variants(tmp_path / "versions", [[Variant(role="original", detail="", pixels=pixels)]])
    assert len(StoredVariants(tmp_path / "versions").load(0, pixels)) == 1
