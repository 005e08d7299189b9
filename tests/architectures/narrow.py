"""Registered networks without the weights that no test of another property needs."""

from unittest import mock

import timm
from torch import nn

from architectures import Architecture

SMALL_HEADS = {"vgg16.tv_in1k": {"mlp_ratio": 1 / 64}}
"""Dense layers of 134 million weights: seconds of a core in each test."""


def narrow(entry: Architecture, classes: int = 3) -> nn.Module:
    """Builds a network with small dense layers."""
    create = timm.create_model
    with mock.patch("timm.create_model", lambda name, **more: create(name, **SMALL_HEADS.get(name, {}), **more)):
        return entry.build(classes)
