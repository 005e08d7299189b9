"""Maps from elsewhere: found by the names of images, read from every kind of file, resized as our own are."""

import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

from benchmark.experiments.export_maps import FORMATS
from benchmark.map_files import UNNAMED
from benchmark.map_files.collect import ANY_CLASS, collect_maps, open_arrays, read_location
from benchmark.map_files.npy import open_npy
from benchmark.map_files.store import store_maps
from benchmark.map_files.values import resize_map, to_map
from benchmark.saliency.activations import upsample
from benchmark.saliency.compute import scale_to_max

CLASSES = ("benign", "melanoma")
RAMP = np.arange(64, dtype=np.float32).reshape(8, 8) / 63


def write(path, kind):
    rounded = np.rint(RAMP * 255).astype(np.uint8)
    if kind == "npy":
        np.save(path, RAMP)
    elif kind == "npz":
        np.savez_compressed(path, saliency=RAMP)
    elif kind == "safetensors":
        safetensors.numpy.save_file({"map": RAMP}, path)
    elif kind == "png":
        Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16)).save(path)
    elif kind == "tif":
        Image.fromarray(RAMP).save(path)
    elif kind == "jpg":
        Image.fromarray(rounded).save(path, quality=100)
    else:
        Image.fromarray(np.dstack([rounded] * 3)).save(path)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("npy", 0), ("npz", 0), ("safetensors", 0), ("tif", 0), ("png", 1e-5), ("jpg", 0.02), ("jpeg", 0.02)],
)
def test_every_kind_of_file_holds_the_same_map(kind, error, tmp_path):
    write(tmp_path / f"image1.{kind}", kind)
    location = collect_maps(tmp_path, CLASSES).locations["image1"][ANY_CLASS]
    np.testing.assert_allclose(to_map(read_location(location)), RAMP, atol=error)


def test_maps_of_classes_are_in_their_directories(tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "image1.npy", RAMP)
    assert set(collect_maps(tmp_path, CLASSES).locations["image1"]) == set(CLASSES)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_one_file_holds_a_map_per_image(suffix, tmp_path):
    save = np.savez if suffix == "npz" else lambda path, **arrays: safetensors.numpy.save_file(arrays, path)
    save(tmp_path / f"maps.{suffix}", image1=RAMP, image2=1 - RAMP)
    locations = collect_maps(tmp_path / f"maps.{suffix}", CLASSES).locations
    np.testing.assert_array_equal(read_location(locations["image2"][ANY_CLASS]), 1 - RAMP)


def test_an_index_names_the_rows_of_an_array(tmp_path):
    np.save(tmp_path / "maps.npy", np.stack([RAMP, 1 - RAMP]))
    (tmp_path / "index.csv").write_text("image,row\nimage7,1\nimage8,0\n")
    locations = collect_maps(tmp_path / "maps.npy", CLASSES, tmp_path / "index.csv").locations
    np.testing.assert_array_equal(read_location(locations["image7"][ANY_CLASS]), 1 - RAMP)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_each_array_of_a_file_is_read_once(suffix, tmp_path, monkeypatch):
    save = np.savez if suffix == "npz" else lambda path, **arrays: safetensors.numpy.save_file(arrays, path)
    save(tmp_path / f"maps.{suffix}", image1=RAMP, image2=1 - RAMP)
    save(tmp_path / f"array.{suffix}", maps=np.stack([RAMP, 1 - RAMP]))
    (tmp_path / "index.csv").write_text("image\nimage1\nimage2\n")
    (kind,) = {type(open_arrays(tmp_path / f"{stem}.{suffix}")) for stem in ("maps", "array")}
    lookups, lookup = [], kind.__getitem__
    monkeypatch.setattr(kind, "__getitem__", lambda arrays, name: lookups.append(name) or lookup(arrays, name))
    for stem, index in (("maps", None), ("array", tmp_path / "index.csv")):
        locations = collect_maps(tmp_path / f"{stem}.{suffix}", CLASSES, index).locations
        for number in (1, 2):
            read_location(locations[f"image{number}"][ANY_CLASS])
    assert lookups == ["image1", "image2", "maps"]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_archives_hold_any_byte_order_and_layout(dtype, order, tmp_path):
    values = np.asarray(np.random.default_rng(0).random((5, 7)), dtype=dtype, order=order)
    np.savez(tmp_path / "image1.npz", values)
    location = collect_maps(tmp_path, CLASSES).locations["image1"][ANY_CLASS]
    np.testing.assert_array_equal(read_location(location), values)


def test_maps_are_enlarged_like_maps_of_a_grid():
    """The same half-pixel convention as for our own maps, for any grid."""
    grid = torch.rand(1, 3, 5, dtype=torch.float64)
    expected = scale_to_max(upsample(grid, (32, 32)))[0].half().numpy()
    np.testing.assert_array_equal(resize_map(grid[0].numpy(), 32), expected)


def test_shrinking_by_a_whole_factor_keeps_the_center():
    """A bright block of the large map stays centered in the small one; plain sampling would miss a thin line."""
    large = np.zeros((64, 64))
    large[:, 30:34] = 1
    small = resize_map(large, 16).astype(float)
    columns = small.sum(axis=0)
    assert (columns * (np.arange(16) + 0.5)).sum() / columns.sum() == pytest.approx(8)


def test_scale_does_not_matter_and_zero_stays_zero():
    assert (resize_map(RAMP.astype(float) * 1e300, 8) == resize_map(RAMP.astype(float), 8)).all()
    assert not resize_map(np.zeros((4, 4)), 8).any()
    assert np.isnan(resize_map(np.full((4, 4), np.nan), 8)).all()


def test_negative_values_are_what_the_user_says():
    values = np.array([[-2.0, 1.0]])
    assert to_map(values, "zero").tolist() == [[0, 1]]
    assert to_map(values, "absolute").tolist() == [[2, 1]]


def test_exported_maps_come_back_bit_for_bit(tmp_path):
    maps = scale_to_max(torch.rand(5, 24, 24)).half().numpy()
    maps[4] = 0
    for number, values in enumerate(maps):
        FORMATS["npy"][1](values, RAMP, tmp_path / f"{number}.npy")
    collection = collect_maps(tmp_path, CLASSES)
    stored = store_maps([collection.locations[str(n)][ANY_CLASS] for n in range(5)], tmp_path / "all", 24, "refuse")
    assert np.load(stored.path).tobytes() == maps.tobytes()
    assert stored.constant == [str(tmp_path / "4.npy")]


def test_exported_pictures_come_back_within_their_rounding(tmp_path):
    maps = scale_to_max(torch.rand(3, 24, 24)).half().numpy()
    for number, values in enumerate(maps):
        FORMATS["png"][1](values, RAMP, tmp_path / f"{number}.png")
    collection = collect_maps(tmp_path, CLASSES)
    stored = store_maps([collection.locations[str(n)][ANY_CLASS] for n in range(3)], tmp_path / "all", 24, "refuse")
    # Half a step of 8 bits, and the rounding of half precision below 1.
    assert np.abs(np.load(stored.path).astype(float) - maps).max() <= 0.5 / 255 + 2**-12


def test_headers_are_read_by_many_threads_at_once(tmp_path):
    """Without a lock, one in a hundred ends in a SystemError in Python 3.11: threads share the depth of `ast`."""
    path = tmp_path / "map.npy"
    np.save(path, np.zeros((4, 4), np.float32))
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()

    def yield_to_others(*_):
        time.sleep(1e-5)

    sys.setswitchinterval(1e-6)
    gc.callbacks.append(yield_to_others)
    gc.set_threshold(3)
    try:
        with ThreadPoolExecutor(4) as pool:
            shapes = list(pool.map(lambda _: open_npy(path)[UNNAMED].shape, range(1600)))
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(yield_to_others)
        sys.setswitchinterval(interval)
    assert set(shapes) == {(4, 4)}
