"""The names and metrics of this repository, read without importing torch."""

import ast
import math
import re
from dataclasses import dataclass
from functools import cache

from benchmark.registry import entries
from benchmark.storage.identity import listed_identities
from benchmark.storage.paths import ROOT

METRICS_DIR = ROOT / "metrics"
QUANTUS = re.compile(r"quantus:[A-Za-z]{1,60}(\?[A-Za-z0-9_.=&-]{1,200})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownMetric:
    """What the registry says of a metric.

    Attributes:
        bounds: Lowest and highest possible score.
        higher_is_better: Whether a higher score is better. None for metrics of Quantus, which may not be installed.
        inputs: Names of its inputs.
    """

    bounds: tuple[float, float]
    higher_is_better: bool | None
    inputs: frozenset[str]

    @property
    def of_references(self) -> bool:
        """Whether it compares a map with soft masks. Such a score exists for every finite map."""
        return "reference" in self.inputs

    @property
    def of_model(self) -> bool:
        """Whether it needs the model, so that a part of the test images is scored."""
        return bool(self.inputs & {"context", "curves"})


def is_known(kind: str, name: str) -> bool:
    """Returns whether this repository has an entry of a kind: "architecture", "method" or "regime"."""
    if f"{kind}/{name}" in listed_identities():
        return True
    if kind == "architecture":  # has a file of its name
        return (ROOT / "architectures" / f"{name}.py").is_file()
    return name in _registered(kind)


def find_metric(name: str) -> KnownMetric | None:
    """Returns what the registry says of a metric. None for an unknown one."""
    if QUANTUS.fullmatch(name):
        return KnownMetric(bounds=(-math.inf, math.inf), higher_is_better=None, inputs=frozenset({"context"}))
    return _metrics().get(name) or _registered_metrics().get(name)


def is_of_model(name: str) -> bool:
    """Returns whether a metric needs the model. False for an unknown one."""
    known = find_metric(name)
    return known is not None and known.of_model


def is_of_references(name: str) -> bool:
    """Returns whether a metric compares a map with soft masks. False for an unknown one."""
    known = find_metric(name)
    return known is not None and known.of_references


@cache
def _metrics() -> dict[str, KnownMetric]:
    """Reads the constants of the metrics from their source. Importing them takes seconds, since they need torch."""
    found: dict[str, KnownMetric] = {}
    for path in sorted(METRICS_DIR.glob("*.py")):
        found |= _metrics_of(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _metrics_of(tree: ast.Module) -> dict[str, KnownMetric]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    calls = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
    found = {}
    for call in calls:
        fields = {keyword.arg: keyword.value for keyword in call.keywords}
        if not (isinstance(call.func, ast.Name) and call.func.id == "Metric" and fields.keys() >= {"name", "bounds"}):
            continue
        compute = fields["compute"]
        function = functions.get(compute.id) if isinstance(compute, ast.Name) else None
        if function is not None:
            arguments = function.args
            found[str(ast.literal_eval(fields["name"]))] = KnownMetric(
                bounds=_literal_bounds(fields["bounds"]),
                higher_is_better=bool(ast.literal_eval(fields["higher_is_better"])),
                inputs=frozenset(argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)),
            )
    return found


def _literal_bounds(node: ast.expr) -> tuple[float, float]:
    low, high = ast.literal_eval(_InfinityReplacer().visit(node))
    return float(low), float(high)


class _InfinityReplacer(ast.NodeTransformer):
    """Replaces `math.inf` and `float("inf")` by their value."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Replaces the attribute."""
        return ast.Constant(math.inf) if node.attr == "inf" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Replaces the call."""
        text = ast.unparse(node)
        return ast.Constant(float(text[7:-2])) if text in {"float('inf')", "float('-inf')"} else node


@cache
def _registered(kind: str) -> frozenset[str]:
    """Returns the names of entries that nobody listed yet, such as a new file of the user."""
    # Imports torch. Only names that are not listed lead here.
    from benchmark.saliency import Method  # noqa: PLC0415
    from benchmark.training.regimes import Regime  # noqa: PLC0415

    return frozenset(entries(Method) if kind == "method" else entries(Regime))


@cache
def _registered_metrics() -> dict[str, KnownMetric]:
    from metrics import Metric  # noqa: PLC0415

    return {
        name: KnownMetric(bounds=metric.bounds, higher_is_better=metric.higher_is_better, inputs=metric.inputs)
        for name, metric in entries(Metric).items()
    }
