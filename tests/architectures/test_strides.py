"""The last block with a grid of a given stride, for networks as they are drawn in papers."""

import pytest
import torch
from torch import nn

from architectures import Architecture
from architectures.strides import layer_at_stride
from benchmark.registry import entries

# The last block before the last halving, by the module names of timm and of our NASNet.
SIXTEENTH = {
    "densenet121": "body.features.denseblock3",
    "efficientnet_b0": "body.blocks.4.2",
    "inception_resnet_v2": "body.repeat_1.19",
    "inception_v3": "body.Mixed_6e",
    "mobilenet": "body.blocks.3.5",
    "mobilenet_v2": "body.blocks.4.2",
    "nasnet_mobile": "body.cells.10",
    "resnet50": "body.layer3.5",
    "resnet50_v2": "body.stages.2",
    "vgg16": "body.features.29",
    "xception": "body.block11",
}


@pytest.mark.parametrize("name", SIXTEENTH)
def test_the_last_block_of_stride_sixteen(name):
    with torch.device("meta"):
        network = entries(Architecture)[name].build(2)
    assert {layer_at_stride(network, 16, side) for side in (96, 224)} == {SIXTEENTH[name]}


@pytest.mark.parametrize(("name", "stride"), [("vit_tiny", 16), ("swin_tiny", 32)])
def test_the_tokens_of_a_transformer_are_a_grid(name, stride):
    architecture = entries(Architecture)[name]
    with torch.device("meta"):
        network = architecture.build(2)
    assert layer_at_stride(network, stride, 96) == architecture.target_layer


def test_the_inner_grids_of_a_transformer_with_channels_last_are_not_read():
    with torch.device("meta"):
        network = entries(Architecture)["swin_tiny"].build(2)
    with pytest.raises(ValueError, match=r"no block has a grid of stride 16 at 96 px, only of \[32\]"):
        layer_at_stride(network, 16, 96)


def test_a_block_that_runs_twice_is_left_out_and_the_network_is_not_changed():
    halving = [nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(4)]
    again = nn.Conv2d(3, 3, 3, padding=1)
    network = nn.Sequential(*halving, again, again).train()
    assert layer_at_stride(network, 16, 96) == "3"
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_a_missing_stride_is_refused_with_those_that_exist():
    network = nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match=r"no block has a grid of stride 16 at 96 px, only of \[2\]"):
        layer_at_stride(network, 16, 96)
