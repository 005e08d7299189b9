"""Training on noisy images."""

import pytest
import torch

from benchmark.training.regimes import gaussian_noise
from tests.benchmark.training.regimes.made import SIDE, batch, cross_entropy_by_hand, watched


def test_the_noise_has_its_deviation_and_keeps_to_the_range():
    now = batch(64, images=torch.full((64, 3, SIDE, SIDE), 0.5))
    loss, watch = watched("gaussian-noise", now)
    (noisy,) = watch.inputs(training=True)
    # The quartiles of a normal distribution lie 1.349 deviations apart, and nothing is clamped there.
    low, middle, high = noisy.flatten().quantile(torch.tensor([0.25, 0.5, 0.75]))
    assert (high - low) / 1.349 == pytest.approx(gaussian_noise.SIGMA, rel=0.03)
    assert middle == pytest.approx(0.5, abs=0.01)
    assert noisy.min() == 0
    assert noisy.max() == 1
    (logits,) = watch.outputs(training=True)
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(logits, now), rel=1e-5)
