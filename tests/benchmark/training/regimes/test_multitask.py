"""Classes and masks at once, by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.registry import entries
from benchmark.training.regimes import Regime, multitask
from tests.benchmark.training.regimes.made import SIDE, batch, cross_entropy_by_hand, network


def mask_loss_by_hand(logits: torch.Tensor, mask: torch.Tensor) -> float:
    entropy = both = either = 0.0
    for logit, truth in zip(logits.flatten().tolist(), mask.flatten().tolist(), strict=True):
        share = 1 / (1 + math.exp(-logit))
        entropy -= truth * math.log(share) + (1 - truth) * math.log(1 - share)
        both += share * truth
        either += share + truth
    return entropy / mask.numel() + 1 - (2 * both + 1) / (either + 1)


def masks_with_gaps() -> torch.Tensor:
    """Of eight, one empty, one soft, one missing, and one missing that was turned, with zeros in the corner."""
    masks = batch().masks.clone()
    masks[1] = 0
    masks[2] = masks[2] * 0.5
    masks[3] = torch.nan
    masks[5] = torch.nan
    masks[5, :3, :3] = 0
    return masks


def test_multitask_is_the_class_and_the_known_masks_by_hand():
    now, model = batch(masks=masks_with_gaps()), network()
    loss = multitask.multitask(model, now)
    logits, predicted = network().with_mask(now.images)
    known = [number for number in range(8) if number not in {3, 5}]
    by_hand = [mask_loss_by_hand(predicted[number].detach(), now.masks[number]) for number in known]
    expected = cross_entropy_by_hand(logits.detach(), now) + sum(by_hand) / len(by_hand)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_without_any_mask_multitask_learns_the_class_alone():
    now, model = batch(masks=torch.full((8, SIDE, SIDE), torch.nan)), network()
    loss = multitask.multitask(model, now)
    logits, weights = network()(now.images).double(), now.class_weights.double()
    assert torch.equal(loss, functional.cross_entropy(logits, now.labels, weight=weights))
    loss.backward()
    assert not model.mask.weight.grad.any()
    assert model.body[0].weight.grad.isfinite().all()


def test_the_right_mask_costs_nothing_even_if_it_is_empty():
    masks = torch.zeros(2, SIDE, SIDE)
    masks[1, 3:8, 3:8] = 1
    sure = 60 * (masks - 0.5)
    torch.testing.assert_close(multitask.mask_loss(sure, masks), torch.zeros(2, dtype=torch.float64), atol=1e-5, rtol=0)
    assert (multitask.mask_loss(-sure, masks) > 30).all()
    # Of an empty mask the smoothed Dice falls with what is predicted.
    many, few = (multitask.mask_loss(torch.full((1, SIDE, SIDE), value), masks[:1]) for value in (-5.0, -9.0))
    assert few < many - 0.3


def test_multitask_refuses_networks_and_batches_without_masks():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 3))
    with pytest.raises(ValueError, match=r"^multitask trains on masks, but Sequential predicts none$"):
        multitask.multitask(plain, batch())
    with pytest.raises(ValueError, match=r"^multitask trains on masks, but the batch has none$"):
        multitask.multitask(network(), batch(masks=None))
    assert entries(Regime)["multitask"].needs_masks
