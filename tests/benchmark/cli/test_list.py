"""`list` shows what is registered, and all about one of it."""

import inspect
import json
from io import StringIO

import pytest
from typer.testing import CliRunner

from benchmark.__main__ import app
from benchmark.cli.list import KINDS, _build_table
from benchmark.cli.listing import catalog, page
from benchmark.errors import UserError
from benchmark.registry import entries
from benchmark.runtime.terminal import Terminal
from benchmark.saliency.grad_cam import grad_cam
from metrics import Metric
from metrics.threshold import ROC_AUC, roc_auc

NAMES = {
    "architectures": "resnet50",
    "regimes": "scaat",
    "methods": "gradient",
    "metrics": "roc-auc",
    "datasets": "busi",
    "aggregations": "union",
    "presets": "quick",
}


def shown(*words):
    done = CliRunner().invoke(app, ["list", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_page_of_a_metric_is_whole():
    text = shown("metrics", "roc-auc")
    assert inspect.getdoc(roc_auc) in text
    assert inspect.getdoc(inspect.getmodule(roc_auc)) in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "roc-auc"
    assert {"bounds 0.0, 1.0", "higher is better yes", f"source {ROC_AUC.source}"} <= set(lines)


@pytest.mark.parametrize("name", entries(Metric))
def test_every_metric_has_shapes_and_source_on_its_page(name):
    found = page("metrics", name)
    assert {"bounds", "higher_is_better", "source", "file", "background"} <= found.keys()
    assert all(heading in found["reference"] for heading in ("Args:", "Returns:", "Reference:"))
    assert "NaN" in found["reference"]


def test_the_page_of_a_regime_tells_its_settings_and_what_its_file_says():
    text = shown("regimes", "scaat")
    assert "Linf 0.5/255 to 4/255 by image" in text
    assert "needs masks    no" in text
    assert "Only the abstract of SCAAT" in text


def test_the_page_of_a_method_is_its_docstring():
    assert inspect.getdoc(grad_cam) in shown("methods", "grad-cam")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_pages_and_rows_for_people_and_for_programs(kind):
    name = NAMES[kind]
    assert shown(kind, name).startswith(f"{name}\n\n  ")
    found = json.loads(shown(kind, name, "--json"))
    assert found["name"] == name
    rows = json.loads(shown(kind, "--json"))
    (row,) = [row for row in rows if row["name"] == name]
    assert {key: found[key] for key in row} == row
    assert name in shown(kind)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="unknown architecture 'resnet5'; nearest: resnet50"):
        page("architectures", "resnet5")


def test_help_has_an_example():
    assert "Example: python -m benchmark list metrics roc-auc" in " ".join(shown("--help").split())


@pytest.mark.parametrize("kind", ["metrics", "regimes", "presets"])
def test_names_and_headings_are_whole_in_a_narrow_terminal(kind):
    output = StringIO()
    Terminal(width=80, file=output).print(_build_table(catalog(kind), 80))
    lines = output.getvalue().splitlines()
    left_out = {"source"} if kind == "metrics" else set()
    assert set(lines[0].split()) == set(catalog(kind)[0]) - left_out
    assert ("Left out: source." in output.getvalue()) == bool(left_out)
    assert {row["name"] for row in catalog(kind)} <= {line.split()[0] for line in lines if line.strip()}
