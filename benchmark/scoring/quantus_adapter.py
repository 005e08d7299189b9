"""Any metric of Quantus by name, called one image at a time, so that what it does wrong to batches cannot enter.

`quantus:MaxSensitivity` is that metric with Quantus' own defaults, `quantus:MaxSensitivity?nr_samples=10&abs=True` the
same with other parameters. The scores are Quantus': its faults with single images are in them.
"""

import ast
import difflib
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
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.registry import resolve_name
from benchmark.storage.hashing import content_key
from benchmark.storage.identity import file_code
from metrics import Metric
from metrics.normalize import finite
from metrics.perturbation import PerturbationContext

PREFIX = "quantus:"
OWN_DIRECTION = {"RegionPerturbation": True}
"""Where Quantus' own direction is wrong: taking the most salient regions first, a larger drop speaks for the map."""
OF_SEVERAL = {
    "BatchSufficiency": "it compares the images of a batch",
    "Consistency": "it compares the images of a batch",
    "Focus": "it needs mosaics of several images",
    "SensitivityN": "it correlates over the images of a batch",
    "Sufficiency": "it compares the images of a batch",
}
"""What has no score for one image."""
CURVES = frozenset({"MPRT", "PixelFlipping", "ROAD", "RegionPerturbation", "Selectivity", "SmoothMPRT"})
"""What returns several numbers for an image by default: the mean over the steps or layers is its score."""

Reasons = dict[str, Counter[str]]
"""By name of the metric: why it has no score, and of how many images."""
_collected: ContextVar[Reasons | None] = ContextVar("_collected", default=None)


class UndefinedScoresWarning(UserWarning):
    """A metric of Quantus raised an error where nobody collects the reasons."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A metric of Quantus with parameters.

    Attributes:
        name: As asked for, such as "quantus:MaxSensitivity?nr_samples=10".
        kind: The class in Quantus.
        parameters: Of its constructor.
    """

    name: str
    kind: type[Any]
    parameters: Mapping[str, Any]


@cache
def quantus_metric(name: str) -> Metric:
    """The metric that a name such as "quantus:MaxSensitivity" stands for.

    Metrics of localization are given the map and the mask, those of complexity the map; all others a probe.

    Raises:
        UserError: Quantus has no such metric or parameter, or the metric has no score for one image.
    """
    kind, parameters = _parsed(name)
    call = Call(name=name, kind=kind, parameters=parameters)
    compute = _asks(call)
    told = (inspect.getdoc(kind) or kind.__name__).split("\n\n")[0].replace("\n", " ").rstrip(".")
    compute.__doc__ = f"{told} (Quantus {version()}, one image per call)."
    return Metric(
        name=name,
        compute=compute,
        bounds=(float("-inf"), float("inf")),
        higher_is_better=OWN_DIRECTION.get(kind.__name__, kind.score_direction.value == "higher"),
        source=f"Quantus {version()}, {kind.__name__}",
    )


def is_quantus(name: str) -> bool:
    """Whether a name asks for a metric of Quantus."""
    return name.startswith(PREFIX)


def quantus_identity(metric: Metric) -> str:
    """Stands for all that decides its scores: the call, the version of Quantus and the code of this file."""
    return content_key(metric.name, version(), file_code(Path(__file__)))


def version() -> str:
    """The version of Quantus."""
    return str(_quantus().__version__)


@contextmanager
def collect_reasons() -> Iterator[Reasons]:
    """Collects, while it lasts, why metrics raised; they do not warn then."""
    reasons: Reasons = {}
    token = _collected.set(reasons)
    try:
        yield reasons
    finally:
        _collected.reset(token)


@cache
def _quantus() -> ModuleType:
    """Quantus, imported when it is first asked for: that takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three of its docstrings hold an invalid escape
        return import_module("quantus")


@cache
def _kinds() -> dict[str, type[Any]]:
    named = vars(_quantus())
    base = import_module("quantus.metrics.base").Metric
    found = {name: kind for name, kind in named.items() if isinstance(kind, type) and issubclass(kind, base)}
    return {name: kind for name, kind in found.items() if kind is not base and name != "ModelParameterRandomisation"}


def _parsed(name: str) -> tuple[type[Any], dict[str, Any]]:
    """The class and the parameters that a name asks for."""
    bare, _, options = name.removeprefix(PREFIX).partition("?")
    kind = _kinds()[resolve_name(bare, _kinds(), "metric of Quantus")]
    if bare in OF_SEVERAL:
        raise UserError(f"{PREFIX}{bare} has no score for one image: {OF_SEVERAL[bare]}")
    known = [key for key, default in _defaults(kind).items() if default is None or np.ndim(default) == 0]
    parameters = {}
    for option in options.split("&") if options else []:
        key, equals, value = option.partition("=")
        if key not in known or not equals:
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.4) or known
            raise UserError(f"{PREFIX}{bare} takes parameter=value; {option!r} is none, nearest: {', '.join(near)}")
        parameters[key] = _value(value)
    return kind, parameters


def _defaults(kind: type[Any]) -> dict[str, Any]:
    """What its constructor takes, without functions and what is ours to decide."""
    ours = {"self", "kwargs", "return_aggregate", "disable_warnings", "display_progressbar"}
    given = inspect.signature(kind.__init__).parameters
    return {
        key: parameter.default
        for key, parameter in given.items()
        if key not in ours and not key.endswith(("_func", "_kwargs"))
    }


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text.capitalize() if text in {"true", "false"} else text)
    except (SyntaxError, ValueError):
        return text


def _asks(call: Call) -> Callable[..., Tensor]:
    """A function of those inputs that the metric needs, by parameter name."""
    category = call.kind.evaluation_category.value
    if category == "Localisation":

        def against_mask(saliency: Tensor, mask: Tensor) -> Tensor:
            drawn = mask.flatten(1).any(1)
            return _scores(call, saliency, lambda i: _shown(saliency[i]) | _masked(mask[i]), usable=drawn)

        return against_mask
    if category == "Complexity":

        def of_map(saliency: Tensor) -> Tensor:
            return _scores(call, saliency, lambda i: _shown(saliency[i]))

        return of_map

    def of_model(context: PerturbationContext) -> Tensor:
        return _of_model(call, context)

    return of_model


def _of_model(call: Call, context: PerturbationContext) -> Tensor:
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

    def given(i: int) -> dict[str, Any]:
        asked = {"model": context.model, "y_batch": _array(context.classes[i : i + 1]), "explain_func": explain}
        shown = {"x_batch": _array(context.images[i : i + 1]), "device": str(device)}
        return _shown(context.saliency[i]) | asked | shown

    full = Call(name=call.name, kind=call.kind, parameters=parameters)
    try:
        return _scores(full, context.saliency, given, seeds=context.seeds)
    finally:
        _forget_models()


def _shown(saliency: Tensor) -> dict[str, Any]:
    """What a call without a model is given: a map (H, W) of a black image."""
    images = np.zeros((1, 3, *saliency.shape), dtype=np.float32)
    maps = _array(saliency)[None, None].copy()  # Quantus may write into it
    return {"model": None, "x_batch": images, "y_batch": np.zeros(1, dtype=np.int64), "a_batch": maps}


def _masked(mask: Tensor) -> dict[str, Any]:
    return {"s_batch": _array(mask)[None, None].astype(np.float32)}


def _scores(
    call: Call,
    saliency: Tensor,
    given: Callable[[int], dict[str, Any]],
    *,
    usable: Tensor | None = None,
    seeds: Tensor | None = None,
) -> Tensor:
    """One score per map, (N,), float64; NaN for maps that are not finite, that are not usable, or where it raises."""
    usable = finite(saliency) if usable is None else finite(saliency) & usable
    scores = torch.full((len(saliency),), torch.nan, dtype=torch.float64)
    reasons: Counter[str] = Counter()
    for i in usable.nonzero().flatten().tolist():
        with _alone(0 if seeds is None else int(seeds[i]), saliency.device):
            try:
                metric = call.kind(disable_warnings=True, display_progressbar=False, **call.parameters)
                scores[i] = _number(call.kind.__name__, metric(channel_first=True, **given(i)))
            except Exception as error:  # noqa: BLE001 - whatever Quantus raises, the other images have their scores
                reasons[f"{type(error).__name__}: {str(error).strip() or 'no reason given'}".split("\n")[0]] += 1
    _tell(call.name, reasons)
    return scores.to(saliency.device)


def _number(name: str, result: Any) -> float:
    """The score of one image from what Quantus returned for it."""
    if isinstance(result, Mapping):  # by layer; the model as it is does not count
        result = [value for key, value in result.items() if key != "original"]
    values = np.asarray(result, dtype=np.float64).ravel()
    if len(values) != 1 and name not in CURVES:
        raise ValueError(f"{len(values)} numbers for one image")
    return float(values.mean())


def _tell(name: str, reasons: Counter[str]) -> None:
    collected = _collected.get()
    if collected is not None:
        collected.setdefault(name, Counter()).update(reasons)
        return
    for reason, number in reasons.items():
        warnings.warn(f"{name} has no score for {number} images: {reason}", UndefinedScoresWarning, stacklevel=4)


@contextmanager
def _alone(seed: int, device: torch.device) -> Iterator[None]:
    """Quantus draws from the global random numbers and prints: here from those of a seed, and to nowhere."""
    python, global_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - Quantus uses it
    silent = logging.NullHandler()  # without any handler, the first line logged would install one for good
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


def _forget_models() -> None:
    """Quantus 0.6.0 keeps every model that it was ever given, in caches of two of its methods."""
    wrapper = import_module("quantus.helpers.model.pytorch_model").PyTorchModel
    for value in vars(wrapper).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def _array(values: Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy() if values.dtype != torch.float16 else values.detach().float().cpu().numpy()
