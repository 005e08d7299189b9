"""A directive that writes the reference of all metrics from the registry and the docstrings."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles
from sphinx.util.typing import ExtensionMetadata

from benchmark.registry import entries
from metrics import Metric

ROOT = Path(__file__).resolve().parents[2]


def reference_lines(metric: Metric) -> Iterator[str]:
    """The section of a metric, in reStructuredText.

    Args:
        metric: An entry whose function is a plain one: the name and the docstring are those of the function.
    """
    function = inspect.unwrap(metric.compute)
    module = inspect.getmodule(function)
    file = Path(inspect.getfile(function)).relative_to(ROOT)
    low, high = metric.bounds
    yield from (metric.name, "-" * len(metric.name), "")
    direction = "Higher" if metric.higher_is_better else "Lower"
    when = "with ``--metric`` only" if metric.expensive else "in every run"
    yield f"{direction} is better, from {low:g} to {high:g}. Computed {when}, from {', '.join(sorted(metric.inputs))}."
    yield from (f"Defined in ``{file}``.", "", f"Source: {metric.source}", "")
    yield from (f".. autofunction:: {module.__name__ if module else ''}.{function.__name__}", "   :no-index-entry:", "")


class MetricsReference(SphinxDirective):
    """Writes a section for each registered metric, in the order of their names."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """The sections."""
        lines = StringList()
        for metric in entries(Metric).values():
            for line in reference_lines(metric):
                lines.append(line, metric.name)
        parent = nodes.section()
        parent.document = self.state.document
        nested_parse_with_titles(self.state, lines, parent)
        return parent.children


def escape_bars(_app: Sphinx, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Keeps absolute values: docstrings are plain text, in which reStructuredText would see substitutions."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers the directive ``metrics-reference``."""
    app.add_directive("metrics-reference", MetricsReference)
    app.connect("autodoc-process-docstring", escape_bars)
    return {"parallel_read_safe": True}
