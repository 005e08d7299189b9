"""Estimates agree with scipy and scikit-learn; intervals cover; ranks count."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from benchmark.leaderboard.columns import COLUMNS, Evidence
from benchmark.leaderboard.statistics import Ratios, estimate, image_weights, rank_intervals

BY_NAME = {column.name: column for column in COLUMNS}


def plain(values: np.ndarray) -> Ratios:
    return Ratios(values=values[:, None], counts=np.ones((len(values), 1)))


def predictions(classes: int, images: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(classes)
    label = np.arange(images) % classes
    predicted = np.where(rng.random(images) < 0.6, label, rng.integers(0, classes, images))
    withstood = np.where(np.arange(images) < 20, (predicted == label) * 1.0, np.nan)
    names = [f"i{number}" for number in range(images)]
    return pd.DataFrame({"image": names, "label": label, "predicted": predicted, "withstood:pgd-5-l2-0.25": withstood})


def evidence(frame: pd.DataFrame, classes: int, scores: pd.DataFrame | None = None) -> Evidence:
    empty = pd.DataFrame(columns=["image", "metric", "level", "rater", "characteristic", "value"])
    return Evidence(
        images=list(frame["image"]),
        classes=tuple("abcdefg"[:classes]),
        scores=empty if scores is None else scores,
        predictions=frame,
    )


def value(name: str, known: Evidence) -> float:
    return BY_NAME[name].of(known).under(np.ones((1, len(known.images))))[0]


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_diagnosis_equals_scikit_learn(classes):
    frame = predictions(classes)
    known = evidence(frame, classes)
    label, predicted = frame["label"], frame["predicted"]
    assert value("balanced_accuracy", known) == pytest.approx(balanced_accuracy_score(label, predicted))
    assert value("macro_f1", known) == pytest.approx(f1_score(label, predicted, average="macro"))
    table = confusion_matrix(label, predicted)
    true_negatives = table.sum() - table.sum(axis=0) - table.sum(axis=1) + np.diag(table)
    specificity = true_negatives / (table.sum() - table.sum(axis=1))
    if classes == 2:
        assert value("sensitivity", known) == pytest.approx(table[1, 1] / table[1].sum())
        assert value("specificity", known) == pytest.approx(table[0, 0] / table[0].sum())
    else:
        assert value("specificity", known) == pytest.approx(specificity.mean())


def test_accuracy_under_attack_counts_only_the_attacked():
    frame = predictions(3)
    known = evidence(frame, 3)
    assert value("accuracy_under_attack", known) == pytest.approx(frame["withstood:pgd-5-l2-0.25"][:20].mean())
    assert BY_NAME["accuracy_under_attack"].of(known).images == 20


def test_a_macro_mean_is_a_mean_of_means_and_undefined_scores_are_counted():
    rows = [("i0", "Scale", 0.2), ("i1", "Scale", 0.4), ("i0", "Plaque", 1.0), ("i2", "Plaque", np.nan)]
    scores = pd.DataFrame(rows, columns=["image", "characteristic", "value"])
    scores = scores.assign(metric="fuzzy-f1", level="characteristic", rater="")
    known = evidence(predictions(3), 3, scores)
    ratios = BY_NAME["characteristic_f1"].of(known)
    assert value("characteristic_f1", known) == pytest.approx((0.3 + 1.0) / 2)
    assert ratios.undefined == 1
    assert ratios.images == 2


def test_the_interval_agrees_with_scipy():
    values = np.random.default_rng(2).gamma(2.0, size=80)
    ours = estimate([plain(values)], image_weights([str(number) for number in range(80)]))
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=0)
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.05)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.05)


def test_groups_are_drawn_whole():
    weights = image_weights(["p", "q", "p", "r"])
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert not np.array_equal(weights[:, 0], weights[:, 1])
    single = estimate([plain(np.repeat(np.arange(20.0), 4))], image_weights([str(n) for n in np.arange(80)]))
    grouped = estimate([plain(np.repeat(np.arange(20.0), 4))], image_weights([str(n // 4) for n in np.arange(80)]))
    assert grouped.high - grouped.low > 1.5 * (single.high - single.low)


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(5)
    covered = 0
    weights = image_weights([str(number) for number in range(40)])
    for _ in range(300):
        known = estimate([plain(rng.normal(0.3, 0.2, 40))], weights)
        covered += known.low <= 0.3 <= known.high
    assert 0.90 <= covered / 300 <= 0.98


def test_seeds_widen_the_interval():
    weights = image_weights([str(number) for number in range(50)])
    values = np.random.default_rng(0).normal(0.5, 0.05, 50)
    apart = [plain(values + shift) for shift in (-0.2, 0.0, 0.2)]
    together = estimate(apart, weights)
    alone = estimate(apart[1:2], weights)
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_ranks_of_rows_that_are_far_apart_are_sure_and_equal_rows_share():
    draws = np.stack([np.full(100, 0.9), np.linspace(0.1, 0.5, 100), np.linspace(0.5, 0.1, 100)])
    assert rank_intervals(draws, higher_is_better=True).tolist() == [[1, 1], [2, 3], [2, 3]]
    assert rank_intervals(draws, higher_is_better=False).tolist() == [[3, 3], [1, 2], [1, 2]]


def test_an_empty_statistic_is_no_number():
    nothing = Ratios(values=np.zeros((3, 2)), counts=np.zeros((3, 2)))
    assert np.isnan(nothing.under(np.ones((2, 3)))).all()
    assert nothing.images == 0
