"""A column is declared in one place, and a metric needs its own file alone to be seen everywhere."""

import ast
import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.experiments.build_record import define_metric
from benchmark.leaderboard.analysis.claim_list import CLAIMS
from benchmark.leaderboard.analysis.diff import TableDiff, diff_tables, parse_table
from benchmark.leaderboard.build import rebuild
from benchmark.leaderboard.columns import ACCURACY, COLUMNS, DEGENERATE, RANKED_BY
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.paths import ROOT
from benchmark.storage.upgrade import upgrade_scores
from metrics import Metric
from tests.benchmark.leaderboard.made_results import make_results

LEADERBOARD = ROOT / "benchmark" / "leaderboard"
NAMES = {column.name for column in COLUMNS}
DECLARED = {"columns.py", "reliance_columns.py", "claim_list.py", "repeat.py"}
"""Where columns are declared, the claims that each name theirs, and the measured spread of some."""
TABLES = {".csv", ".md", ".html"}
CURVES = {"insertion", "deletion"}
"""Perturbation curves are called so too."""


def named_columns(directory: Path) -> set[tuple[str, str]]:
    """File and name of each string in the code of a directory that is the name of a column."""
    return {
        (path.name, node.value)
        for path in directory.rglob("*.py")
        if path.name not in DECLARED
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in NAMES
    }


def test_no_other_module_names_a_column():
    assert named_columns(LEADERBOARD) == {("perturbation_curves.py", name) for name in CURVES}


@pytest.mark.parametrize("line", ['SHOWN = ("map_f1", "sparsity")', 'row.estimates["balanced_accuracy"]'])
def test_a_column_that_is_named_elsewhere_is_found(tmp_path, line):
    (tmp_path / "charts.py").write_text(line, encoding="utf-8")
    assert named_columns(tmp_path)


def test_no_template_names_a_column():
    texts = [path.read_text(encoding="utf-8") for path in LEADERBOARD.rglob("*") if path.suffix in {".jinja", ".js"}]
    assert texts
    assert not [name for name in NAMES if "_" in name and any(name in text for text in texts)]


def test_names_of_columns_are_unique_and_what_is_named_is_declared():
    assert len(NAMES) == len(COLUMNS)
    assert {RANKED_BY, DEGENERATE, ACCURACY} <= NAMES
    assert {claim.column for claim in CLAIMS} <= NAMES
    assert [column.name for column in COLUMNS if column.name == RANKED_BY and column.headline] == [RANKED_BY]


def new_metric(**fields: object) -> Metric:
    """An entry as a file in `metrics/` holds it."""

    def compute(saliency):
        """Says something new of the map."""
        return saliency.amax(dim=(1, 2))

    return Metric(
        name="peak-height", compute=compute, bounds=(0.0, 1.0), higher_is_better=True, source="Own.", **fields
    )


def results_with(metric: Metric, directory: Path) -> Path:
    """Made-up results in which every cell was scored by a metric that no column reads."""
    make_results(directory, images=24, architectures=3)
    rng = np.random.default_rng(1)
    definition = define_metric(metric).model_dump(mode="json")
    for path in (directory / "records").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["metrics"][metric.name] = definition
        path.write_text(json.dumps(content), encoding="utf-8")
        file = path.with_suffix(".scores.parquet")
        frame = upgrade_scores(pd.read_parquet(file))
        more = frame[(frame["metric"] == "sparsity") & (frame["level"] == "map")]
        more = more.assign(metric=metric.name, value=rng.random(len(more)))
        pd.concat([frame, more], ignore_index=True).astype({"metric": "category"}).to_parquet(file)
    return directory


def moved_since(directory: Path, text: str) -> TableDiff:
    """What moved since a table in which the new metric was lower."""
    leaderboard = build_tables(read_results(directory))[0]
    now = parse_table(text, "now")
    before = {key: row | {"peak_height": "0.000001"} for key, row in now.items() if row["peak_height"]}
    return diff_tables(before, now, leaderboard.columns)


def test_a_new_metric_is_seen_everywhere(tmp_path):
    directory = results_with(new_metric(heading="peak", agreement=True), tmp_path / "made" / "quick")
    rebuild(directory)
    texts = {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir() if path.suffix in TABLES}
    rows = list(csv.DictReader(texts["leaderboard.csv"].splitlines()))
    assert all(row["peak_height"] for row in rows if row["kind"] == "model")
    assert "- **peak ↑** (`peak_height`): Says something new of the map." in texts["leaderboard.md"]
    assert "peak_height" in {row["column"] for row in csv.DictReader(texts["contrasts.csv"].splitlines())}
    assert ("map_f1", "peak_height") in {
        (row["one"], row["other"]) for row in csv.DictReader(texts["agreement.csv"].splitlines())
    }
    assert '<option value="=peak_height">peak</option>' in texts["leaderboard.html"]
    assert "peak_height" in {move.column.name for move in moved_since(directory, texts["leaderboard.csv"]).moves}


def test_a_variant_of_a_metric_stays_out_of_the_agreement(tmp_path):
    directory = results_with(new_metric(), tmp_path / "made" / "quick")
    rebuild(directory)
    assert "**peak-height ↑** (`peak_height`)" in (directory / "leaderboard.md").read_text(encoding="utf-8")
    assert "peak_height" not in (directory / "agreement.csv").read_text(encoding="utf-8")
