"""FGSM with a random start."""

import pytest
import torch
from torch.nn import functional

from tests.benchmark.training.regimes.made import batch, cross_entropy_by_hand, network, watched

EPS = 2 / 255


def test_fgsm_rs_is_one_step_from_a_random_start_put_back_into_the_ball():
    now = batch()
    loss, watch = watched("fgsm-rs", now)
    model = network().eval()
    torch.manual_seed(0)
    delta = torch.empty_like(now.images).uniform_(-EPS, EPS)
    inputs = (now.images + delta).requires_grad_()
    (slope,) = torch.autograd.grad(functional.cross_entropy(model(inputs), now.labels), inputs)
    (moved,) = watch.inputs(training=True)
    torch.testing.assert_close(moved, now.images + (delta + 1.25 * EPS * slope.sign()).clamp(-EPS, EPS))
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(watch.outputs(training=True)[0], now), rel=1e-5)
