"""Calls of metrics of Quantus, one image at a time and isolated from the global state of the process."""

import inspect
import io
import logging
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.phrases import format_count
from metrics.normalize import finite
from metrics.perturbation import PerturbationContext

MULTI_VALUE_METRICS = frozenset({"MPRT", "PixelFlipping", "ROAD", "RegionPerturbation", "Selectivity", "SmoothMPRT"})
"""Metrics that by default return several numbers per image. The score is their mean over steps or layers."""

Reasons = dict[str, Counter[str]]
"""Reasons for missing scores by name of the metric, with the number of images of each."""
_collected: ContextVar[Reasons | None] = ContextVar("_collected", default=None)


class UndefinedScoresWarning(UserWarning):
    """A metric of Quantus raised an error, and no :func:`collect_reasons` is active."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantusCall:
    """A metric of Quantus with parameters.

    Attributes:
        name: Full name, such as "quantus:MaxSensitivity?nr_samples=10".
        kind: The class in Quantus.
        parameters: Parameters of its constructor.
    """

    name: str
    kind: type[Any]
    parameters: Mapping[str, Any]


@contextmanager
def collect_reasons() -> Iterator[Reasons]:
    """Collects the errors of metrics during the block, instead of warnings."""
    reasons: Reasons = {}
    token = _collected.set(reasons)
    try:
        yield reasons
    finally:
        _collected.reset(token)


def score_map(call: QuantusCall, saliency: Tensor) -> Tensor:
    """Scores maps (N, H, W) by a metric that needs the map alone, (N,), float64."""
    return _scores(call, saliency, lambda i: _map_inputs(saliency[i]))


def score_against_mask(call: QuantusCall, saliency: Tensor, mask: Tensor) -> Tensor:
    """Scores maps (N, H, W) by a metric that needs masks (N, H, W), (N,), float64. NaN for empty masks."""

    def build_inputs(i: int) -> dict[str, Any]:
        return _map_inputs(saliency[i]) | {"s_batch": _array(mask[i])[None, None].astype(np.float32)}

    return _scores(call, saliency, build_inputs, valid=mask.flatten(1).any(1))


def score_in_context(call: QuantusCall, context: PerturbationContext) -> Tensor:
    """Scores the maps of a perturbation context by a metric that needs the model, (N,), float64.

    Raises:
        TypeError: The model is not a torch module.
    """
    if not isinstance(context.model, nn.Module):
        raise TypeError(f"{call.name} needs a torch module")
    device = context.images.device
    parameters = dict(call.parameters)
    if "num_classes" in inspect.signature(call.kind.__init__).parameters:
        parameters.setdefault("num_classes", context.logits(lambda jobs: context.images[jobs], 1).shape[1])

    def explain(model: nn.Module, inputs: NDArray[Any], targets: NDArray[Any], **_: Any) -> NDArray[np.float32]:
        images = torch.as_tensor(np.asarray(inputs), dtype=context.images.dtype, device=device)
        classes = torch.as_tensor(np.asarray(targets), dtype=torch.long, device=device)
        return _array(context.explain_fn(model, images, classes))[:, None]

    def build_inputs(i: int) -> dict[str, Any]:
        model = {"model": context.model, "y_batch": _array(context.classes[i : i + 1]), "explain_func": explain}
        images = {"x_batch": _array(context.images[i : i + 1]), "device": str(device)}
        return _map_inputs(context.saliency[i]) | model | images

    complete = QuantusCall(name=call.name, kind=call.kind, parameters=parameters)
    try:
        return _scores(complete, context.saliency, build_inputs, seeds=context.seeds)
    finally:
        _clear_model_caches()


def _map_inputs(saliency: Tensor) -> dict[str, Any]:
    """Builds the inputs of a call without a model: a map (H, W) of a black image."""
    images = np.zeros((1, 3, *saliency.shape), dtype=np.float32)
    maps = _array(saliency)[None, None].copy()  # Quantus may write into it
    return {"model": None, "x_batch": images, "y_batch": np.zeros(1, dtype=np.int64), "a_batch": maps}


def _scores(
    call: QuantusCall,
    saliency: Tensor,
    build_inputs: Callable[[int], dict[str, Any]],
    *,
    valid: Tensor | None = None,
    seeds: Tensor | None = None,
) -> Tensor:
    """Computes one score per map, (N,), float64. NaN for maps that are not finite or valid, and after an error."""
    valid = finite(saliency) if valid is None else finite(saliency) & valid
    scores = torch.full((len(saliency),), torch.nan, dtype=torch.float64)
    reasons: Counter[str] = Counter()
    for i in valid.nonzero().flatten().tolist():
        with _isolated(0 if seeds is None else int(seeds[i]), saliency.device):
            try:
                metric = call.kind(disable_warnings=True, display_progressbar=False, **call.parameters)
                scores[i] = _to_score(call.kind.__name__, metric(channel_first=True, **build_inputs(i)))
            except Exception as error:  # noqa: BLE001 - whatever Quantus raises, the other images have their scores
                reasons[f"{type(error).__name__}: {str(error).strip() or 'no reason given'}".split("\n")[0]] += 1
    _report(call.name, reasons)
    return scores.to(saliency.device)


def _to_score(name: str, result: Any) -> float:
    """Converts the result of Quantus for one image to a score."""
    if isinstance(result, Mapping):  # by layer, where "original" is the unchanged model and does not count
        result = [value for key, value in result.items() if key != "original"]
    values = np.asarray(result, dtype=np.float64).ravel()
    if len(values) != 1 and name not in MULTI_VALUE_METRICS:
        raise ValueError(f"{len(values)} numbers for one image")
    return float(values.mean())


def _report(name: str, reasons: Counter[str]) -> None:
    """Collects the reasons where :func:`collect_reasons` is active, else warns."""
    collected = _collected.get()
    if collected is not None:
        collected.setdefault(name, Counter()).update(reasons)
        return
    for reason, count in reasons.items():
        warnings.warn(
            f"{name} has no score for {format_count(count, 'image')}: {reason}", UndefinedScoresWarning, stacklevel=5
        )


@contextmanager
def _isolated(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds the global random generators, silences all output and restores both after the block.

    Quantus uses the global generators of Python, NumPy and torch, prints, warns and logs.
    """
    python, global_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - Quantus uses it
    silent = logging.NullHandler()  # without any handler, the first logged line would install one permanently
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        stack.enter_context(np.errstate(all="ignore"))
        warnings.simplefilter("ignore")
        logging.getLogger().addHandler(silent)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - Quantus uses it
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(global_numpy)  # noqa: NPY002 - Quantus uses it
            logging.getLogger().removeHandler(silent)


def _clear_model_caches() -> None:
    """Frees models: Quantus 0.6.0 caches every model that it has seen, in two of its methods."""
    wrapper = import_module("quantus.helpers.model.pytorch_model").PyTorchModel
    for value in vars(wrapper).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def _array(values: Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy() if values.dtype != torch.float16 else values.detach().float().cpu().numpy()
