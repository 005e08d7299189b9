"""Names of metrics of Quantus, such as "quantus:MaxSensitivity?abs=True": their classes and parameters."""

import ast
import difflib
import inspect
import warnings
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from benchmark.errors import UserError
from benchmark.registry import resolve_name

PREFIX = "quantus:"
BATCH_METRICS = {
    "BatchSufficiency": "it compares the images of a batch",
    "Consistency": "it compares the images of a batch",
    "Focus": "it needs mosaics of several images",
    "SensitivityN": "it correlates over the images of a batch",
    "Sufficiency": "it compares the images of a batch",
}
"""Metrics without a score for a single image, and why."""


def is_quantus(name: str) -> bool:
    """Returns whether a name is that of a metric of Quantus."""
    return name.startswith(PREFIX)


def version() -> str:
    """Returns the version of Quantus."""
    return str(_quantus().__version__)


def parse_name(name: str) -> tuple[type[Any], dict[str, Any]]:
    """Parses a name into the class of the metric and its parameters.

    Raises:
        UserError: Quantus has no such metric or parameter, or the metric has no score for a single image.
    """
    bare, _, options = name.removeprefix(PREFIX).partition("?")
    kind = _kinds()[resolve_name(bare, _kinds(), "metric of Quantus")]
    if bare in BATCH_METRICS:
        raise UserError(f"{PREFIX}{bare} has no score for one image: {BATCH_METRICS[bare]}")
    valid = [key for key, default in _defaults(kind).items() if default is None or np.ndim(default) == 0]
    parameters = {}
    for option in options.split("&") if options else []:
        key, equals, value = option.partition("=")
        if key not in valid or not equals:
            near = difflib.get_close_matches(key, valid, n=3, cutoff=0.4) or valid
            raise UserError(f"{PREFIX}{bare} takes parameter=value; {option!r} is none, nearest: {', '.join(near)}")
        parameters[key] = _parse_value(value)
    return kind, parameters


@cache
def _quantus() -> ModuleType:
    """Imports Quantus on first use, since the import takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three of its docstrings contain an invalid escape
        return import_module("quantus")


@cache
def _kinds() -> dict[str, type[Any]]:
    """Finds the metrics of Quantus, by class name."""
    members = vars(_quantus()).items()
    base = import_module("quantus.metrics.base").Metric
    kinds = {name: kind for name, kind in members if isinstance(kind, type) and issubclass(kind, base)}
    return {name: kind for name, kind in kinds.items() if kind is not base and name != "ModelParameterRandomisation"}


def _defaults(kind: type[Any]) -> dict[str, Any]:
    """Returns parameters of the constructor with their defaults, without functions and those that we set."""
    ours = {"self", "kwargs", "return_aggregate", "disable_warnings", "display_progressbar"}
    return {
        key: parameter.default
        for key, parameter in inspect.signature(kind.__init__).parameters.items()
        if key not in ours and not key.endswith(("_func", "_kwargs"))
    }


def _parse_value(text: str) -> Any:
    try:
        return ast.literal_eval(text.capitalize() if text in {"true", "false"} else text)
    except (SyntaxError, ValueError):
        return text
