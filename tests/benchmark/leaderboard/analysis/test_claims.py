"""Claims of the papers, judged on made-up scores; columns for whatever was measured."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.leaderboard.analysis import claims
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.score_layout import ScoreSection
from benchmark.leaderboard.record_columns import build_columns
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.registry import entries
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import resampling
from benchmark.storage.record import MetricDefinition
from benchmark.training.regimes import Regime
from tests.benchmark.statistics.alone import under

IMAGES = 60
ONE_BUDGET = {"preset": {"attack_eps": [0.25]}}
CLAIM = claims.Claim(text="b has more", source="nobody", regime="b", than="a", column="sharpness", method="gradient")


def leaderboard(difference: float, method: str = "gradient") -> LeaderboardTable:
    """Two regimes of one network whose scores differ by so much, with noise of a tenth."""
    rng = np.random.default_rng(0)
    draws = resampling([f"g{number}" for number in range(IMAGES)])
    rows = []
    for regime, shift in (("a", 0.0), ("b", difference)):
        scores = rng.normal(0.5 + shift, 0.1, (IMAGES, 1))
        ratios = RatioStatistic(amounts=scores, counts=np.ones((IMAGES, 1)))
        found = estimates({"sharpness": [ratios]}, draws, row=regime, bounds={"sharpness": (0.0, 1.0)})
        rows.append(Row(name="net", regime=regime, title=regime, adversarial=False, seeds=(0,), estimates=found))
    return LeaderboardTable(record=None, method=method, positive="", rows=tuple(rows), problems=())


@pytest.mark.parametrize(
    ("difference", "more", "verdict"),
    [
        (0.2, True, "seen"),
        (-0.2, True, "not seen: the opposite"),
        (-0.2, False, "seen"),
        (0.2, False, "not seen: the opposite"),
        (0.0, True, "undecided"),
    ],
)
def test_the_sign_decides_where_the_test_tells_apart(monkeypatch, difference, more, verdict):
    monkeypatch.setattr(claims, "CLAIMS", (replace(CLAIM, more=more),))
    (found,) = claims.evaluate_claims([leaderboard(difference)])
    assert found.verdict == verdict
    assert found.difference.value == pytest.approx(found.value - found.base)


def test_without_the_regimes_the_column_or_the_method_nothing_is_said(monkeypatch):
    for change in ({"regime": "c"}, {"column": "sparsity"}, {"method": "rise"}):
        monkeypatch.setattr(claims, "CLAIMS", (replace(CLAIM, **change),))
        assert claims.evaluate_claims([leaderboard(0.2)]) == []


def test_claims_speak_of_what_there_is():
    names = {column.name for column in COLUMNS}
    for claim in claims.CLAIMS:
        assert claim.column in names
        assert {claim.regime, claim.than} <= set(entries(Regime))


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
    told = {column.name: column for column in build_columns(record)}
    assert told["sharpness"].definition == "As it was."
