"""Every regime trains a transformer, and attacks move its images and its map."""

import copy

import pytest
import torch

from architectures.groups import freeze, layer_groups
from benchmark.attacks.maps import MapAttack, attack_maps
from benchmark.registry import entries
from benchmark.saliency.grad_cam import grad_cam
from benchmark.training.regimes import Batch, Regime
from tests.architectures.transformers import build_narrow

NAMES = ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
REGIMES = {name: regime for name, regime in entries(Regime).items() if not regime.needs_masks}


def batch():
    generator = torch.Generator().manual_seed(1)
    return Batch(
        images=0.2 + 0.6 * torch.rand(4, 3, 64, 64, generator=generator),
        labels=torch.arange(4),
        class_weights=torch.ones(4),
        progress=0.5,
        indices=torch.arange(4),
        num_images=4,
        masks=None,
    )


@pytest.mark.parametrize(
    ("name", "architecture"), [*((name, NAMES[0]) for name in REGIMES), ("adversarial", NAMES[1]), ("sgt", NAMES[1])]
)
def test_every_regime_reaches_every_weight(name, architecture):
    network = copy.deepcopy(build_narrow(architecture)[1]).train()
    torch.manual_seed(0)
    loss = REGIMES[name].objective(network, batch())
    loss.backward()
    assert loss.isfinite()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("architecture", NAMES)
def test_a_map_attack_moves_the_map(architecture):
    entry, network = build_narrow(architecture)
    images, classes = batch().images[:2], torch.tensor([0, 1])
    attack = MapAttack(norm="l2", eps=4.0, steps=2, step=0.5, aim="away", keep_class=False)
    moved = attack_maps(network, entry.target_layer, images, classes, attack)
    before, after = (grad_cam(network, entry.target_layer, each, classes) for each in (images, moved))
    assert not torch.equal(moved, images)
    assert (before - after).abs().amax() > 0.01 * before.amax()


def test_a_transformer_is_frozen_by_depth():
    network = copy.deepcopy(build_narrow("vit_small_patch16_dinov3")[1])
    groups = layer_groups(network, 96)
    assert ["body" in groups[0], "body.patch_embed.proj" in groups[0]] == [True, True]
    blocks = [{path.split(".")[2] for path in group if path.startswith("body.blocks.")} for group in groups]
    assert blocks == [{"0"}, {"1"}, {"2"}, set(), set()]
    assert set(groups[4]) == {"body.norm", "body.head"}
    freeze(network, groups, 2)
    trained = {key.split(".")[2] for key, each in network.named_parameters() if each.requires_grad and "blocks" in key}
    assert trained == {"2"}
