"""A small part of the trials of known truth; `python -m tests.benchmark.reliance.trials` runs all."""

import numpy as np
import pytest

from benchmark.leaderboard.analysis.fourfold import NO, YES
from tests.benchmark.reliance.trials import NULL_IMAGES, null_images, null_trial, power_trial


@pytest.mark.slow
def test_reliance_finds_what_a_network_was_trained_to_use():
    results = power_trial(0, names=("dose 0", "mark"))
    diagnosis, mark = results["dose 0"], results["mark"]
    assert (diagnosis["lesion"], diagnosis["mark"]) == (YES, NO)
    assert diagnosis["verdicts"] == ("used and shown", "used, not shown: the map fails")
    assert mark["lesion"] != YES
    assert mark["mark"] == YES


def test_random_weights_and_places_are_a_null_trial():
    found = null_trial(1)
    assert not found["above 0 by every fill"]
    images = null_images(1)
    assert len({mask.tobytes() for mask in images.expert_masks}) > NULL_IMAGES / 2
    assert (images.pixels != null_images(2).pixels).any()
    np.testing.assert_array_equal(images.expert_masks, null_images(1).expert_masks)
