"""Training that starts from a robust model."""

import pytest
import torch

from benchmark.registry import entries
from benchmark.training.regimes import Regime
from tests.benchmark.training.regimes.made import batch, cross_entropy_by_hand, watched


@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        ("robust-finetune", 0),
        ("robust-stem-1", 0),
        ("robust-stem", 1),
        ("robust-stem-3", 2),
        ("robust-stem-4", 3),
        ("robust-stem-5", 4),
    ],
)
def test_refitting_begins_with_a_robust_model_at_a_small_pace(name, frozen):
    regime, now = entries(Regime)[name], batch()
    assert (regime.init_from, regime.frozen, regime.lr_scale) == ("pgd-l2", frozen, 1 / 30)
    assert regime.cost == [3, 2.6, 2.1, 1.4, 1][frozen]
    loss, watch = watched(name, now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(watch.outputs(training=True)[0], now), rel=1e-5)
