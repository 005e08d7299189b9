"""A small part of the trials of known truth; `python -m tests.benchmark.reliance.trials` runs all."""

import numpy as np
import pytest

from benchmark.leaderboard.analysis.fourfold import CELLS
from tests.benchmark.reliance.known_truth import (
    NULL_IMAGES,
    SHOWN,
    TRUTH,
    null_images,
    null_trial,
    power_trial,
)
from tests.benchmark.reliance.paired_renderings import render


def test_renderings_differ_in_the_lesion_or_the_mark_alone():
    photographs = render(0, number=12)
    pixels = photographs.pixels.astype(int)
    by_kind, by_mark = np.abs(pixels[:, 0] - pixels[:, 1]).max(-1), np.abs(pixels[:, :, 0] - pixels[:, :, 1]).max(-1)
    # What is left is the soft edge below the opacity from which a pixel counts, and the blur of the camera.
    noise = 12
    assert (by_kind > noise).any(axis=(1, 2, 3)).all()
    assert not (by_kind > noise)[~np.broadcast_to(grown(photographs.masks)[:, None], by_kind.shape)].any()
    assert (by_mark > noise).any(axis=(1, 2, 3)).all()
    assert not (by_mark > noise)[~np.broadcast_to(grown(photographs.marks)[:, None], by_mark.shape)].any()


def grown(masks):
    """Adds the neighbors of each pixel to masks (N, S, S)."""
    return np.any([np.roll(masks, (y, x), (1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)


@pytest.mark.slow
def test_reliance_and_the_fourfold_table_find_what_was_planted():
    results = power_trial(0, number=150, doses=(), weights={})
    for name, (lesion, mark) in TRUTH.items():
        result = results[name]
        assert (result["uses lesion"], result["uses mark"]) == (lesion, mark), name
        assert result["verdicts"] == {where: CELLS[lesion, shows] for where, shows in SHOWN.items()}
    assert results["lesion"]["planted lesion"] > 0.5 > results["lesion"]["planted mark"]
    assert results["mark"]["planted mark"] > 0.5 > results["mark"]["planted lesion"]


def test_random_weights_and_places_are_a_null_trial():
    found = null_trial(1)
    assert not found["above 0 by every fill"]
    images = null_images(1)
    assert len({mask.tobytes() for mask in images.expert_masks}) > NULL_IMAGES / 2
    assert (images.pixels != null_images(2).pixels).any()
    np.testing.assert_array_equal(images.expert_masks, null_images(1).expert_masks)
