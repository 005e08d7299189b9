"""Estimates agree with scipy and scikit-learn; intervals cover; ranks count."""

from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.scores import ScoreReader
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import resampling
from tests.benchmark.statistics.alone import estimate, under

BY_NAME = {column.name: column for column in COLUMNS}


def plain(values: np.ndarray) -> RatioStatistic:
    return RatioStatistic(amounts=values[:, None], counts=np.ones((len(values), 1)))


def predictions(classes: int, images: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(classes)
    label = np.arange(images) % classes
    predicted = np.where(rng.random(images) < 0.6, label, rng.integers(0, classes, images))
    withstood = np.where(np.arange(images) < 20, (predicted == label) * 1.0, np.nan)
    names = [f"i{number}" for number in range(images)]
    return pd.DataFrame({"image": names, "label": label, "predicted": predicted, "withstood:pgd-5-l2-0.25": withstood})


def evidence(frame: pd.DataFrame, classes: int, scores: pd.DataFrame | None = None) -> RowData:
    images, found = list(frame["image"]), {}
    if scores is not None:
        with NamedTemporaryFile() as file:
            scores.assign(method="").to_parquet(file.name)
            kinds = set(zip(scores["metric"], scores["level"], strict=True))
            found = ScoreReader(images, ["gradient"]).read(Path(file.name), kinds)["gradient"]
    return RowData(images=images, classes=tuple("abcdefg"[:classes]), scores=found, predictions=frame)


def value(name: str, known: RowData) -> float:
    return under(BY_NAME[name].statistic(known), np.ones((1, len(known.images))))[0]


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
    assert BY_NAME["accuracy_under_attack"].statistic(known).images == 20


def test_a_macro_mean_is_a_mean_of_means_and_undefined_scores_are_counted():
    rows = [("i0", "Scale", 0.2), ("i1", "Scale", 0.4), ("i0", "Plaque", 1.0), ("i2", "Plaque", np.nan)]
    scores = pd.DataFrame(rows, columns=["image", "characteristic", "value"])
    scores = scores.assign(metric="map-f1", level="characteristic", rater="")
    known = evidence(predictions(3), 3, scores)
    ratios = BY_NAME["characteristic_f1"].statistic(known)
    assert value("characteristic_f1", known) == pytest.approx((0.3 + 1.0) / 2)
    assert ratios.undefined == 1
    assert ratios.images == 2


def test_the_interval_agrees_with_scipy_but_for_the_two_corrections_of_small_samples():
    values = np.random.default_rng(2).gamma(2.0, size=80)
    ours = estimate([plain(values)], resampling([str(number) for number in range(80)]))
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=0)
    stretched = scipy.stats.t.ppf(0.975, 79) / scipy.stats.norm.ppf(0.975) * np.sqrt(80 / 79)
    assert ours.value == pytest.approx(values.mean())
    for end, known in zip((ours.low, ours.high), theirs.confidence_interval, strict=True):
        assert end - ours.value == pytest.approx((known - values.mean()) * stretched, abs=0.02)


def test_a_ratio_agrees_with_scipys_paired_bootstrap():
    rng = np.random.default_rng(4)
    sizes, sums = rng.integers(1, 5, 60) * 1.0, rng.gamma(2.0, size=60)
    groups = [str(number) for number in range(60)]
    ours = estimate([RatioStatistic(amounts=sums[:, None], counts=sizes[:, None])], resampling(groups))

    def ratio(amounts, counts, axis=-1):
        return amounts.sum(axis=axis) / counts.sum(axis=axis)

    theirs = scipy.stats.bootstrap((sums, sizes), ratio, paired=True, n_resamples=9999, method="percentile", rng=0)
    assert np.std(ours.draws) == pytest.approx(theirs.standard_error, rel=0.06)
    assert np.sqrt(ours.error.influence @ ours.error.influence) == pytest.approx(theirs.standard_error, rel=0.06)


def test_groups_are_drawn_whole():
    draws = resampling(["p", "q", "p", "r"])
    assert draws.codes.tolist() == [0, 1, 0, 2]
    assert (draws.weights.sum(axis=1) == 3).all()
    assert draws.sums(np.array([[1.0], [2.0], [4.0], [8.0]]))[0].tolist() == [5.0, 2.0, 8.0]
    single = estimate([plain(np.repeat(np.arange(20.0), 4))], resampling([str(n) for n in np.arange(80)]))
    grouped = estimate([plain(np.repeat(np.arange(20.0), 4))], resampling([str(n // 4) for n in np.arange(80)]))
    assert grouped.high - grouped.low > 1.5 * (single.high - single.low)


def patients(number: int, rng: np.random.Generator) -> np.ndarray:
    """One to about eight images of each patient."""
    return np.repeat(np.arange(number), 1 + rng.poisson(2, number))


def draw_normal(patient: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    return 0.5 + rng.normal(0, 0.1, number)[patient] + rng.normal(0, 0.1, len(patient))


def draw_skewed(patient: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    return rng.gamma(2, 0.125, number)[patient] + rng.gamma(2, 0.125, len(patient))


def draw_right_or_wrong(patient: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(len(patient)) < rng.beta(2, 2, number)[patient]) * 1.0


@pytest.mark.parametrize(("number", "least", "most"), [(40, 0.93, 0.97), (10, 0.90, 0.98)])
@pytest.mark.parametrize("draw", [draw_normal, draw_skewed, draw_right_or_wrong])
def test_intervals_cover_the_truth(draw, number, least, most):
    """All three draws have the mean one half."""
    rng = np.random.default_rng(1)
    patient = patients(number, rng)
    draws = resampling([str(one) for one in patient])
    covered = 0
    for _ in range(1000):
        known = estimate([plain(draw(patient, number, rng))], draws)
        covered += known.low <= 0.5 <= known.high
    assert least <= covered / 1000 <= most


def test_intervals_over_three_seeds_cover_the_truth_of_all_seeds():
    rng = np.random.default_rng(1)
    draws = resampling([str(number) for number in range(60)])
    covered = 0
    for _ in range(500):
        images = rng.normal(0.5, 0.1, 60)
        seeds = [plain(images + rng.normal(0, 0.03) + rng.normal(0, 0.05, 60)) for _ in range(3)]
        known = estimate(seeds, draws)
        covered += known.low <= 0.5 <= known.high
    assert 0.93 <= covered / 500 <= 0.99


def test_no_interval_leaves_the_range_and_a_single_group_has_none():
    right = np.array([1.0] * 9 + [0.0])
    known = estimate([plain(right)], resampling([str(n) for n in range(10)]), bounds=(0.0, 1.0))
    assert known.high == 1.0
    alone = estimate([plain(right)], resampling(["one"] * 10))
    assert alone.value == pytest.approx(0.9)
    assert np.isnan(alone.low)
    assert np.isnan(alone.high)


def test_seeds_widen_the_interval():
    draws = resampling([str(number) for number in range(50)])
    values = np.random.default_rng(0).normal(0.5, 0.05, 50)
    apart = [plain(values + shift) for shift in (-0.2, 0.0, 0.2)]
    together = estimate(apart, draws)
    alone = estimate(apart[1:2], draws)
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low > 3 * (alone.high - alone.low)
    assert np.std(together.draws) == pytest.approx(np.hypot(0.2 / np.sqrt(3), np.std(alone.draws)), rel=0.05)


def test_seeds_of_two_rows_are_drawn_apart_and_images_together():
    draws = resampling([str(number) for number in range(50)])
    values = np.random.default_rng(0).normal(0.5, 0.05, 50)
    seeds = [plain(values + shift) for shift in (-0.2, 0.0, 0.2)]
    one, other = estimate(seeds, draws, row="one"), estimate(seeds, draws, row="other")
    assert abs(np.corrcoef(one.draws, other.draws)[0, 1]) < 0.1
    still = estimate(seeds[:1], draws, row="one"), estimate(seeds[1:2], draws, row="other")
    assert np.corrcoef(still[0].draws, still[1].draws)[0, 1] == pytest.approx(1.0)


def test_an_empty_statistic_is_no_number():
    nothing = RatioStatistic(amounts=np.zeros((3, 2)), counts=np.zeros((3, 2)))
    assert np.isnan(under(nothing, np.ones((2, 3)))).all()
    assert nothing.images == 0
    known = estimate([nothing], resampling(["a", "b", "c"]))
    assert np.isnan([known.value, known.low, known.high]).all()


def test_fewer_stored_draws_change_neither_value_nor_interval():
    """Many models store few draws. The mean over seeds is then computed from the mean of their amounts."""
    rng = np.random.default_rng(5)
    draws = resampling([f"g{index // 2}" for index in range(60)])
    labels = np.arange(60)[:, None] % 3 == np.arange(3)
    columns = {
        "plain": [plain(rng.random(60)) for _ in range(3)],
        "by class": [RatioStatistic(amounts=labels * rng.random((60, 1)), counts=labels * 1.0) for _ in range(3)],
        "other images": [
            RatioStatistic(amounts=counts * rng.random((60, 1)), counts=counts)
            for counts in (rng.random((3, 60, 1)) < 0.8) * 1.0
        ],
        "one seed": [plain(rng.random(60))],
    }
    bounds = dict.fromkeys(columns, (0.0, 1.0))
    every, few = (
        estimates(columns, replace(draws, num_stored=number), row="a/b", bounds=bounds) for number in (2000, 100)
    )
    for name, one in every.items():
        other = few[name]
        assert (other.value, *other.image_ends) == pytest.approx((one.value, *one.image_ends), rel=1e-12)
        assert len(other.draws) == 100
        np.testing.assert_allclose(other.draws, one.draws[:100], rtol=1e-6)
