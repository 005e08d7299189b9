"""The mode that a network is attacked in."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the time of the block; every module gets back the mode that it had."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def normalizing_by_batch(model: nn.Module, *, wanted: bool) -> Iterator[None]:
    """BatchNorm uses the statistics of the batch, and keeps nothing of them, for the time of the block."""
    layers = [m for m in model.modules() if wanted and isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer in layers:
            layer.training, layer.track_running_stats = False, True
