"""Accuracy under attack: the worst of all attacks of a budget, next to what a constant answer scores."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from benchmark.leaderboard.columns import COLUMNS, CONSTANT_ANSWER, RANKED_BY, VANISHING
from benchmark.leaderboard.export.grid import grid
from benchmark.leaderboard.export.markdown import describe_attacks
from benchmark.leaderboard.html.page_input import build_page_table, select_shown_models
from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.record_columns import build_columns
from benchmark.leaderboard.tables import build_tables
from benchmark.scoring.classification import classification_measures
from tests.benchmark.leaderboard.made_results import make_results
from tests.benchmark.statistics.alone import under

IMAGES, ATTACKED = 60, 40
RECORD = SimpleNamespace(metrics={}, settings={"preset": {"attack_eps": [1.0, 0.25, 0.5]}})
BY_NAME = {column.name: column for column in build_columns(RECORD)}


def predictions() -> pd.DataFrame:
    """Two attacks of three budgets, each robust where the other is not, and gradients that vanish here and there."""
    rng = np.random.default_rng(0)
    label = (np.arange(IMAGES) % 6 == 0).astype(int)
    predicted = np.where(rng.random(IMAGES) < 0.8, label, 1 - label)
    frame = pd.DataFrame({"image": [f"i{number}" for number in range(IMAGES)], "label": label, "predicted": predicted})
    attacked = np.arange(IMAGES) < ATTACKED
    for eps in ("0.25", "0.5", "1"):
        for attack in ("pgd-20", "apgd-10"):
            robust = (predicted == label) & (rng.random(IMAGES) < 0.7)
            frame[f"withstood:{attack}-l2-{eps}"] = np.where(attacked, robust, np.nan)
            vanished = rng.random(IMAGES) < 0.3
            frame[f"vanished:{attack}-l2-{eps}"] = np.where(attacked & (predicted == label), vanished, np.nan)
    return frame


def row_data(frame: pd.DataFrame) -> RowData:
    return RowData(images=list(frame["image"]), classes=("benign", "melanoma"), predictions=frame)


def value(name: str, frame: pd.DataFrame) -> float:
    return under(BY_NAME[name].statistic(row_data(frame)), np.ones((1, IMAGES)))[0]


def worst(frame: pd.DataFrame, eps: str) -> np.ndarray:
    both = [frame[f"withstood:{attack}-l2-{eps}"][:ATTACKED] == 1 for attack in ("pgd-20", "apgd-10")]
    return (both[0] & both[1]).to_numpy()


def test_an_image_is_robust_only_to_all_attacks_of_a_budget():
    frame = predictions()
    for eps in ("0.25", "0.5", "1"):
        assert value(f"accuracy_under_attack_{eps}", frame) == pytest.approx(worst(frame, eps).mean())
    assert value("accuracy_under_attack", frame) == pytest.approx(worst(frame, "0.5").mean())
    assert worst(frame, "0.5").mean() < frame["withstood:pgd-20-l2-0.5"].mean()


def test_a_single_budget_is_the_declared_column():
    record = SimpleNamespace(metrics={}, settings={"preset": {"attack_eps": [0.25]}})
    assert build_columns(record) == COLUMNS


def test_the_balanced_accuracy_under_attack_is_scikit_learns_and_a_constant_answer_earns_nothing():
    frame = predictions()
    label = frame["label"][:ATTACKED].to_numpy()
    answers = np.where(worst(frame, "0.5"), label, 1 - label)
    assert value("balanced_accuracy_under_attack", frame) == pytest.approx(balanced_accuracy_score(label, answers))
    constant = frame.assign(predicted=0)
    for name in [name for name in frame if name.startswith("withstood:")]:
        constant[name] = np.where(frame[name].isna(), np.nan, frame["label"] == 0)
    assert value("accuracy_under_attack", constant) == value(CONSTANT_ANSWER, constant) == pytest.approx(33 / 40)
    assert value("balanced_accuracy_under_attack", constant) == 0.5


def test_classification_csv_has_the_same_numbers():
    frame = predictions().assign(group="g", p0=0.5, p1=0.5)
    measures = classification_measures(frame, ("benign", "melanoma")).set_index(["measure", "of"])["value"]
    assert measures["accuracy under attack", "worst-l2-0.5"] == value("accuracy_under_attack", frame)
    assert measures["balanced accuracy under attack", "worst-l2-0.5"] == value("balanced_accuracy_under_attack", frame)
    assert measures["accuracy of a constant answer", "attacked images"] == value(CONSTANT_ANSWER, frame)
    assert measures["vanishing gradients", "pgd-20-l2-0.5"] == frame["vanished:pgd-20-l2-0.5"].mean()


def test_gradients_that_vanish_under_any_attack_of_the_budget_count():
    frame = predictions()
    either = frame[["vanished:pgd-20-l2-0.5", "vanished:apgd-10-l2-0.5"]].max(axis=1)
    assert value(VANISHING, frame) == pytest.approx(either.mean())
    without = frame.drop(columns=[name for name in frame if name.startswith("vanished:")])
    assert BY_NAME[VANISHING].statistic(row_data(without)) is None
    first_schema = without[["image", "label", "predicted"]].assign(withstood=worst(frame, "0.5").mean())
    assert BY_NAME[VANISHING].statistic(row_data(first_schema)) is None


def test_tables_show_what_a_constant_answer_scores_and_which_attack_may_be_masked(tmp_path):
    main = build_tables(read_results(make_results(tmp_path / "made" / "quick", images=24, architectures=2)))[0]
    first, *others = main.rows
    assert "‡" not in describe_attacks(main)
    constant = first.estimates[CONSTANT_ANSWER]
    assert f"A constant answer has an accuracy under attack of {constant.value:.3f}." in describe_attacks(main)
    for share, marked in ((0.1, False), (0.11, True)):
        estimates = first.estimates | {VANISHING: replace(constant, value=share)}
        changed = replace(main, rows=(replace(first, estimates=estimates), *others))
        table = build_page_table(changed, select_shown_models(changed))
        assert table.lines[0].masked is marked
        head, _, line, *_ = grid(changed, changed.columns)
        assert ("‡" in line[head.index("model")]) is marked
        assert (f"in {first.label} (11 %)" in describe_attacks(changed)) is marked
    heading = next(heading for heading in table.headings if heading.column.reference == CONSTANT_ANSWER)
    position = heading.scale.position(constant.value)
    assert heading.baseline == (position if 0 <= position <= 100 else None)
    assert next(heading for heading in table.headings if heading.column.name == RANKED_BY).baseline is not None
