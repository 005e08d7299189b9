"""Steps that several regimes share, by hand or by torch."""

import math
from dataclasses import replace

import pytest
import torch

from benchmark.registry import entries
from benchmark.training.losses.divergence import divergence
from benchmark.training.losses.saliency_mask import label_gradient, lowest
from benchmark.training.regimes import Regime
from tests.benchmark.training.regimes.made import SIDE, batch, lowest_by_hand, network, saliency_by_hand


def test_the_divergence_is_that_of_torch_and_computed_in_float64():
    logits, others = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).mul(3)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits.double()), torch.distributions.Categorical(logits=others.double())
    )
    torch.testing.assert_close(divergence(logits, others), expected)
    torch.testing.assert_close(divergence(logits, logits), torch.zeros(5, dtype=torch.float64))
    rounded = logits.bfloat16(), others.bfloat16()
    assert torch.equal(divergence(*rounded), divergence(*(each.float() for each in rounded)))
    # The gradient lasts where float32 has none: both predictions are sure of a class by 30 logits.
    sure, surer = torch.tensor([[30.0, 0.0]]), torch.tensor([[32.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(divergence(sure, surer).sum(), surer)
    assert (slope != 0).all()


def test_a_network_that_is_sure_still_learns():
    """In float32 the probability of a class that leads by 20 logits is one, and its loss and gradient are zero."""
    logits = torch.tensor([[20.0, 0.0]], requires_grad=True)
    now = replace(batch(1), labels=torch.tensor([0]), class_weights=torch.ones(2))
    loss = entries(Regime)["standard"].objective(lambda _: logits, now)
    loss.backward()
    torch.testing.assert_close(loss.item(), math.exp(-20), rtol=1e-6, atol=0)
    torch.testing.assert_close(logits.grad[0, 0].item(), -math.exp(-20), rtol=1e-6, atol=0)


def test_the_gradient_of_the_label_is_that_of_each_image_alone():
    model, now = network(), batch()
    logits, gradient = label_gradient(model, now.images, now.labels)
    torch.testing.assert_close(gradient, saliency_by_hand(model, now))
    torch.testing.assert_close(logits, model.eval()(now.images).detach())
    assert not now.images.requires_grad


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_lowest_are_the_first_after_sorting_and_all_maps_have_as_many(share):
    values = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    count = round(share * SIDE**2)
    assert torch.equal(lowest(values, share), lowest_by_hand(values, count))
    assert lowest(torch.zeros(3, SIDE, SIDE), share).sum(dim=(1, 2)).tolist() == [count] * 3
    with pytest.raises(ValueError, match="must be in"):
        lowest(values, share + 1.1)
