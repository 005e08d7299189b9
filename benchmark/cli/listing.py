"""What is registered, as plain rows and as pages."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import nn

from architectures import Architecture
from architectures.network import parameter_count
from benchmark.config.presets import PRESETS, Preset
from benchmark.registry import entries, find_module, resolve_name
from benchmark.saliency import Method
from benchmark.training.regimes import Regime
from datasets import Aggregation, DatasetReader
from metrics import Metric

Row = dict[str, Any]


def catalog(kind: str) -> list[Row]:
    """Rows with at least the name for architectures, regimes, methods, metrics, datasets, merges or presets."""
    return [_KINDS[kind].row(entry) for entry in _KINDS[kind].entries().values()]


def page(kind: str, name: str) -> Row:
    """All that is known of one entry.

    Returns:
        Its row, its settings, `reference`: what the docstring of its function says, where it has one, and
        `background`: what its file says, of it and of its neighbors there.

    Raises:
        UserError: The name is unknown; the message suggests the nearest ones.
    """
    known = _KINDS[kind].entries()
    entry = known[resolve_name(name, known, kind.removesuffix("s"))]
    row = _KINDS[kind].row(entry)
    return row | {name: value for name, value in _settings(entry).items() if name not in row} | _texts(entry)


def _settings(entry: Any) -> Row:
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    plain = (str, int, float, tuple, type(None))
    return {name: value for name, value in values.items() if isinstance(value, plain) and value not in {"", ()}}


def _texts(entry: Any) -> Row:
    if isinstance(entry, Preset):
        return {}
    module = find_module(entry)
    # Functions that are made by other functions have no text of their own.
    own = [value for field in fields(entry) if inspect.isfunction(value := getattr(entry, field.name))]
    texts = {
        "reference": "\n\n".join(filter(None, map(inspect.getdoc, own))),
        "background": inspect.getdoc(module) or "",
    }
    return {"file": f"{module.__name__.replace('.', '/')}.py"} | {name: text for name, text in texts.items() if text}


def _architecture(entry: Architecture) -> Row:
    return {
        "name": entry.name,
        "parameters": parameter_count(_skeleton(entry, 1000)),
        "target_layer": entry.target_layer,
        "input_size": entry.input_size,
        "pretrained": entry.pretrained is not None,
        "source": entry.source,
    }


def _skeleton(architecture: Architecture, classes: int) -> nn.Module:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return architecture.build(classes)


def _regime(entry: Regime) -> Row:
    return {"name": entry.name, "cost": entry.cost, "description": entry.description, "source": entry.source}


def _method(entry: Method) -> Row:
    return {"name": entry.name, "source": entry.source}


def _metric(entry: Metric) -> Row:
    return {
        "name": entry.name,
        "bounds": [bound if math.isfinite(bound) else None for bound in entry.bounds],
        "higher_is_better": entry.higher_is_better,
        "definition": entry.definition,
        "source": entry.source,
    }


def _dataset(entry: DatasetReader) -> Row:
    return {"name": entry.name, "source": entry.source, "obtain": entry.obtain}


def _merge(entry: Aggregation) -> Row:
    return {"name": entry.name, "formula": entry.formula, "source": entry.source}


def _preset(entry: Preset) -> Row:
    return {"name": entry.name, "side": entry.side, "regimes": " ".join(entry.regimes), "purpose": entry.purpose}


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where the entries of a kind are, and the row of one."""

    entries: Callable[[], dict[str, Any]]
    row: Callable[[Any], Row]


_KINDS = {
    "architectures": _Kind(partial(entries, Architecture), _architecture),
    "regimes": _Kind(partial(entries, Regime), _regime),
    "methods": _Kind(partial(entries, Method), _method),
    "metrics": _Kind(partial(entries, Metric), _metric),
    "datasets": _Kind(partial(entries, DatasetReader), _dataset),
    "merges": _Kind(partial(entries, Aggregation), _merge),
    "presets": _Kind(lambda: PRESETS, _preset),
}
