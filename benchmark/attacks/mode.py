"""Modes of a network during an attack."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Sets evaluation mode during the block. Afterwards every module has its previous mode."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def normalizing_by_batch(model: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Makes BatchNorm use statistics of the batch during the block, without updating its running averages."""
    layers = [m for m in model.modules() if enabled and isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer in layers:
            layer.training, layer.track_running_stats = False, True
