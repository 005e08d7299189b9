"""Memory-mapped arrays give their pages back and lose nothing."""

import numpy as np
import pytest

from benchmark.runtime.mapped import collect_maps, release_pages


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_released_pages_are_read_again(tmp_path, mode):
    values = np.random.default_rng(0).random((8, 64, 64))
    values.tofile(tmp_path / "values")
    mapped = np.memmap(tmp_path / "values", np.float64, mode, shape=values.shape)
    if mode != "r":
        mapped[3] = values[3] = 7
    release_pages(mapped)
    release_pages(values)
    assert np.array_equal(mapped, values)


@pytest.mark.parametrize("number", [0, 5])
def test_collected_maps_are_all_maps_in_half_precision(number):
    maps = np.random.default_rng(0).random((number, 16, 16))
    collected = collect_maps(iter(maps), (number, 16, 16))
    assert collected.dtype == np.float16
    assert np.array_equal(collected, maps.astype(np.float16))
