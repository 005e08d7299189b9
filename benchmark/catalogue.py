"""What is registered, as plain rows."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from architectures import Architecture
from architectures.network import parameter_count
from benchmark.presets import PRESETS
from benchmark.registry import entries
from benchmark.saliency import Method
from benchmark.training.regimes import Regime
from datasets import Layout, Merge
from metrics import Metric

Row = dict[str, Any]


def catalogue(kind: str) -> list[Row]:
    """Rows with at least name and source for architectures, regimes, methods, metrics, datasets, merges or presets."""
    return _CATALOGUES[kind]()


def _architectures() -> list[Row]:
    return [
        {
            "name": entry.name,
            "parameters": parameter_count(_skeleton(entry, 1000)),
            "saliency_layer": entry.saliency_layer,
            "native_size": entry.native_size,
            "pretrained": entry.pretrained is not None,
            "source": entry.source,
        }
        for entry in entries(Architecture).values()
    ]


def _skeleton(architecture: Architecture, classes: int) -> nn.Module:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return architecture.build(classes)


def _regimes() -> list[Row]:
    return [
        {"name": entry.name, "cost": entry.cost, "description": entry.description, "source": entry.source}
        for entry in entries(Regime).values()
    ]


def _methods() -> list[Row]:
    return [{"name": entry.name, "source": entry.source} for entry in entries(Method).values()]


def _metrics() -> list[Row]:
    return [
        {
            "name": entry.name,
            "bounds": [bound if math.isfinite(bound) else None for bound in entry.bounds],
            "higher_is_better": entry.higher_is_better,
            "definition": entry.definition,
            "source": entry.source,
        }
        for entry in entries(Metric).values()
    ]


def _datasets() -> list[Row]:
    return [{"name": entry.name, "source": entry.source, "obtain": entry.obtain} for entry in entries(Layout).values()]


def _merges() -> list[Row]:
    return [{"name": entry.name, "formula": entry.formula, "source": entry.source} for entry in entries(Merge).values()]


def _presets() -> list[Row]:
    return [
        {"name": entry.name, "side": entry.side, "regimes": " ".join(entry.regimes), "purpose": entry.purpose}
        for entry in PRESETS.values()
    ]


_CATALOGUES: dict[str, Callable[[], list[Row]]] = {
    "architectures": _architectures,
    "regimes": _regimes,
    "methods": _methods,
    "metrics": _metrics,
    "datasets": _datasets,
    "merges": _merges,
    "presets": _presets,
}
