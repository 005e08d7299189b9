"""Pairs of near-duplicates, found by equal bands of bits, are those of all comparisons."""

import time

import numpy as np
import pytest

from benchmark.data import duplicates
from benchmark.data.duplicates import near_duplicates


def compare_all(first, second, max_bits):
    return np.argwhere(np.bitwise_count(first[:, None] ^ second[None]) <= max_bits)


def draw_hashes(number, copies=0, seed=0):
    """Distinct hashes, some of which differ from another one in up to five bits."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, number, dtype=np.uint64)
    for bits in range(6):
        flips = sum(np.uint64(1) << rng.permutation(64)[bit].astype(np.uint64) for bit in range(bits))
        hashes = np.concatenate([hashes, hashes[:copies] ^ np.uint64(flips)])
    return np.unique(hashes)


@pytest.mark.parametrize("max_bits", [0, 1, 2, 5, 40, 62, 63, 64])
def test_pairs_are_those_of_all_comparisons(max_bits):
    first, second = draw_hashes(80, copies=30), draw_hashes(80, copies=25)
    expected = compare_all(first, second, max_bits)
    assert len(expected) >= 25
    assert np.array_equal(near_duplicates(first, second, max_bits), expected)


@pytest.mark.parametrize(("one", "other"), [(0, 0), (0, 3), (3, 0)])
def test_no_hashes_have_no_pairs(one, other):
    assert near_duplicates(draw_hashes(one), draw_hashes(other)).shape == (0, 2)


def test_hashes_that_agree_in_most_bands_are_compared_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(duplicates, "CHUNK_SIZE", 100)
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**9, 300, dtype=np.uint64))
    assert np.array_equal(near_duplicates(hashes, hashes), compare_all(hashes, hashes, 2))


def test_a_hundred_thousand_hashes_take_under_two_seconds():
    hashes = draw_hashes(100_000, copies=500)
    started = time.process_time()
    assert len(near_duplicates(hashes, hashes)) > len(hashes)
    assert time.process_time() - started < 2
