"""Registered entries, as rows of a table and as reference pages."""

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
    """Returns one row, with at least the name, per entry of a kind such as architectures or metrics."""
    return [_KINDS[kind].row(entry) for entry in _KINDS[kind].entries().values()]


def page(kind: str, name: str) -> Row:
    """Returns the reference page of one entry.

    Returns:
        Its row and its settings. `reference` is the docstring of its function, where it has one. `background` is the
        docstring of its module.

    Raises:
        UserError: The name is unknown. The message suggests similar names.
    """
    registered = _KINDS[kind].entries()
    entry = registered[resolve_name(name, registered, kind.removesuffix("s"))]
    row = _KINDS[kind].row(entry)
    return (
        row
        | {name: value for name, value in _read_settings(entry).items() if name not in row}
        | _read_docstrings(entry)
    )


def _read_settings(entry: Any) -> Row:
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    plain = (str, int, float, tuple, type(None))
    return {name: value for name, value in values.items() if isinstance(value, plain) and value not in {"", ()}}


def _read_docstrings(entry: Any) -> Row:
    if isinstance(entry, Preset):
        return {}
    module = find_module(entry)
    # Functions that other functions create have no docstring of their own.
    functions = [value for field in fields(entry) if inspect.isfunction(value := getattr(entry, field.name))]
    texts = {
        "reference": "\n\n".join(filter(None, map(inspect.getdoc, functions))),
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


def _skeleton(architecture: Architecture, num_classes: int) -> nn.Module:
    """Builds the network on the meta device, without memory for its weights."""
    with torch.device("meta"):
        return architecture.build(num_classes)


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


def _aggregation(entry: Aggregation) -> Row:
    return {"name": entry.name, "formula": entry.formula, "source": entry.source}


def _preset(entry: Preset) -> Row:
    return {
        "name": entry.name,
        "image_size": entry.image_size,
        "regimes": " ".join(entry.regimes),
        "purpose": entry.purpose,
    }


@dataclass(frozen=True, slots=True)
class _Kind:
    """The entries of a kind, and a function that formats one as a row."""

    entries: Callable[[], dict[str, Any]]
    row: Callable[[Any], Row]


_KINDS = {
    "architectures": _Kind(partial(entries, Architecture), _architecture),
    "regimes": _Kind(partial(entries, Regime), _regime),
    "methods": _Kind(partial(entries, Method), _method),
    "metrics": _Kind(partial(entries, Metric), _metric),
    "datasets": _Kind(partial(entries, DatasetReader), _dataset),
    "aggregations": _Kind(partial(entries, Aggregation), _aggregation),
    "presets": _Kind(lambda: PRESETS, _preset),
}
