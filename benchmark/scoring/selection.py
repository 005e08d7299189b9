"""Selection of the metrics that a run computes, and the identity of their code."""

from collections.abc import Sequence

from benchmark.registry import entries, select
from benchmark.scoring.quantus_adapter import quantus_identity, quantus_metric
from benchmark.scoring.quantus_names import is_quantus
from benchmark.storage.identity import identity
from metrics import Metric

ALL = "all"


def select_metrics(names: Sequence[str]) -> list[Metric]:
    """Selects all cheap metrics, and the expensive ones in `names`. `all` selects every expensive metric of ours.

    Args:
        names: Names of our metrics, `all`, or names of metrics of Quantus such as "quantus:MaxSensitivity".

    Raises:
        UserError: A name is unknown. The message suggests the nearest ones.
    """
    chosen = {
        metric.name for metric in select(Metric, [name for name in names if name != ALL and not is_quantus(name)])
    }
    own = [
        metric for metric in entries(Metric).values() if not metric.expensive or ALL in names or metric.name in chosen
    ]
    return own + [quantus_metric(name) for name in dict.fromkeys(names) if is_quantus(name)]


def metric_identity(metric: Metric) -> str:
    """Returns the identity of the code of a metric. Changed code is another metric."""
    return quantus_identity(metric) if is_quantus(metric.name) else identity(metric)
