"""Any metric of Quantus by name, as a :class:`metrics.Metric`.

`quantus:MaxSensitivity` is that metric with the defaults of Quantus. `quantus:MaxSensitivity?nr_samples=10&abs=True`
sets parameters. Each call has a single image, so bugs of Quantus with batches cannot change a score. Its bugs with
single images do.
"""

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path

from torch import Tensor

from benchmark.scoring import quantus_calls, quantus_names
from benchmark.scoring.quantus_calls import QuantusCall, score_against_mask, score_in_context, score_map
from benchmark.scoring.quantus_names import parse_name, version
from benchmark.storage.hashing import content_key
from benchmark.storage.identity import file_code
from metrics import Metric
from metrics.perturbation import PerturbationContext

HIGHER_IS_BETTER = {"RegionPerturbation": True}
"""Corrections of Quantus' own direction. If the most salient regions go first, a larger drop is better."""


@cache
def quantus_metric(name: str) -> Metric:
    """Returns the metric of a name such as "quantus:MaxSensitivity".

    Metrics of localization take the map and the mask, those of complexity the map. All others take a perturbation
    context.

    Raises:
        UserError: Quantus has no such metric or parameter, or the metric has no score for a single image.
    """
    kind, parameters = parse_name(name)
    compute = _build_compute(QuantusCall(name=name, kind=kind, parameters=parameters))
    summary = (inspect.getdoc(kind) or kind.__name__).split("\n\n")[0].replace("\n", " ").rstrip(".")
    compute.__doc__ = f"{summary} (Quantus {version()}, one image per call)."
    return Metric(
        name=name,
        compute=compute,
        bounds=(float("-inf"), float("inf")),
        higher_is_better=HIGHER_IS_BETTER.get(kind.__name__, kind.score_direction.value == "higher"),
        source=f"Quantus {version()}, {kind.__name__}",
    )


def quantus_identity(metric: Metric) -> str:
    """Returns a hash of all that its scores depend on: the call, the version of Quantus and the code of the adapter."""
    files = (__file__, quantus_calls.__file__, quantus_names.__file__)
    return content_key(metric.name, version(), [file_code(Path(file)) for file in files])


def _build_compute(call: QuantusCall) -> Callable[..., Tensor]:
    """Builds a function of the inputs that the metric needs. Its parameter names select them."""
    category = call.kind.evaluation_category.value
    if category == "Localisation":

        def against_mask(saliency: Tensor, mask: Tensor) -> Tensor:
            return score_against_mask(call, saliency, mask)

        return against_mask
    if category == "Complexity":

        def of_map(saliency: Tensor) -> Tensor:
            return score_map(call, saliency)

        return of_map

    def in_context(context: PerturbationContext) -> Tensor:
        return score_in_context(call, context)

    return in_context
