"""Columns for whatever a record measures."""

from types import SimpleNamespace

import numpy as np

from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.score_layout import ScoreSection
from benchmark.leaderboard.record_columns import build_all_columns, build_columns
from benchmark.storage.record import MetricDefinition
from tests.benchmark.statistics.alone import under

ONE_BUDGET = {"preset": {"attack_eps": [0.25]}}


def test_a_metric_that_no_column_reads_has_a_column_of_its_own():
    metric = MetricDefinition(higher_is_better=False, bounds=(0.0, 2.0), definition="How.", source="Who.")
    record = SimpleNamespace(
        metrics={"sparsity": metric, "quantus:MaxSensitivity": metric, "roc-auc": metric}, settings=ONE_BUDGET
    )
    *usual, first, second = build_columns(record)
    assert tuple(usual) == COLUMNS  # the Gini index is the sparsity
    assert (first.name, first.title, first.bounds) == ("quantus:MaxSensitivity", "quantus:MaxSensitivity", (0.0, 2.0))
    assert (second.name, second.title, second.higher_is_better) == ("roc_auc", "roc-auc", False)
    section = ScoreSection(
        image_indices=np.array([0, 1]), characteristics=np.zeros(2, int), values=np.array([0.25, 0.75])
    )
    row_data = RowData(images=["a", "b"], classes=("x", "y"), scores={("roc-auc", "image"): section}, predictions=None)
    assert under(second.statistic(row_data), np.ones((1, 2))).tolist() == [0.5]
    assert first.statistic(row_data) is None


def test_sharpness_is_defined_as_the_record_defines_it():
    metric = MetricDefinition(higher_is_better=True, bounds=(0.0, 1.0), definition="As it was.", source="Own.")
    record = SimpleNamespace(metrics={"sharpness": metric}, settings=ONE_BUDGET)
    columns = {column.name: column for column in build_columns(record)}
    assert columns["sharpness"].definition == "As it was."


def test_records_of_other_definitions_share_no_columns():
    metric = MetricDefinition(higher_is_better=True, bounds=(0.0, 1.0), definition="As it was.", source="Own.")
    changed = metric.model_copy(update={"definition": "As it is."})
    records = [
        SimpleNamespace(metrics={"sharpness": each}, settings=ONE_BUDGET, classes=("a", "b"))
        for each in (metric, metric.model_copy(), changed)
    ]
    first, second, third = map(build_all_columns, records)
    assert first is second
    assert {column.name: column.definition for column in third}["sharpness"] == "As it is."
