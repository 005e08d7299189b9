"""TRADES is the formula of its paper."""

import pytest
import torch

from benchmark.training.losses.divergence import divergence
from benchmark.training.regimes import trades
from tests.benchmark.training.regimes.made import batch, consistency_by_hand, network, watched

EPS = 2 / 255


def test_trades_is_its_formula():
    now = batch()
    loss, watch = watched("trades", now)
    clean, _ = watch.inputs(training=True)
    assert torch.equal(clean, now.images)
    assert float(loss.detach()) == pytest.approx(consistency_by_hand(watch, now, weight=6.0), rel=1e-5)


def test_the_attack_of_trades_is_ten_steps_away_from_the_models_own_prediction():
    now = batch()
    _, watch = watched("trades", now)
    model = network().eval()
    target = model(now.images).detach().double().softmax(dim=1)
    torch.manual_seed(0)
    moved = now.images + 0.001 * torch.randn_like(now.images)
    for _ in range(10):
        inputs = moved.clone().requires_grad_()
        apart = -(target * model(inputs).double().log_softmax(dim=1)).sum()
        moved = moved + EPS / 4 * torch.autograd.grad(apart, inputs)[0].sign()
        moved = now.images + (moved - now.images).clamp(-EPS, EPS)
    found = watch.inputs(training=True)[1]
    # A gradient near zero may have either sign.
    assert ((found - moved).abs() < 1e-6).float().mean() > 0.99
    before = divergence(target.log(), model(now.images + 0.001 * torch.randn_like(now.images)))
    assert divergence(target.log(), model(found)).sum() > 20 * before.sum()


def test_trades_starts_next_to_the_image():
    images = torch.full((4, 3, 50, 50), 0.5)
    delta = trades.ATTACK.random(images) - images
    assert delta.std() == pytest.approx(0.001, rel=0.05)
