"""Which rows are significantly different: oracles, error rates by simulation, letters."""

import itertools

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from benchmark.statistics import tests
from benchmark.statistics.letters import cliques, letters
from benchmark.statistics.rank_tests import rank_biserials
from benchmark.statistics.ratios import RatioStatistic, mean_of_finite
from benchmark.statistics.resampling import resampling
from benchmark.statistics.tests import all_pairs, difference, holm
from benchmark.statistics.trainings import pool_trainings
from tests.benchmark.statistics.alone import estimate


def plain(values: np.ndarray) -> RatioStatistic:
    return RatioStatistic(amounts=values[:, None], counts=np.ones((len(values), 1)))


def patients(number: int, rng: np.random.Generator) -> np.ndarray:
    return np.repeat(np.arange(number), 1 + rng.poisson(2, number))


def names(codes: np.ndarray) -> list[str]:
    return [str(code) for code in codes]


def test_holm_equals_statsmodels():
    rng = np.random.default_rng(0)
    for size in (1, 2, 11, 231):
        p = rng.beta(0.3, 1, size)
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_with_equal_groups_the_tests_are_scipys():
    rng = np.random.default_rng(0)
    draws = resampling(names(np.arange(60) // 2))
    one, other = rng.normal(0.5, 0.1, 60), rng.normal(0.55, 0.1, 60)
    known = difference(estimate([plain(one)], draws), estimate([plain(other)], draws))
    by_patient = (one - other).reshape(30, 2).mean(axis=1)
    assert known.value == pytest.approx((one - other).mean())
    assert known.p == pytest.approx(scipy.stats.ttest_1samp(by_patient, 0.0).pvalue, rel=1e-4)
    assert known.groups == 30
    theirs = scipy.stats.ttest_1samp(by_patient, 0.0).confidence_interval()
    assert (known.low, known.high) == pytest.approx((theirs.low, theirs.high), rel=1e-4)


def test_the_paired_test_agrees_with_sign_flips_of_whole_patients():
    rng = np.random.default_rng(3)
    patient = patients(40, rng)
    draws = resampling(names(patient))
    for shift in (0.0, 0.02, 0.04):
        one = rng.normal(0, 0.1, 40)[patient] + rng.normal(0.5, 0.05, len(patient))
        other = one + shift + rng.normal(0, 0.05, 40)[patient] + rng.normal(0, 0.05, len(patient))
        sums = np.bincount(patient, weights=one - other)
        flips = scipy.stats.permutation_test(
            (sums,), np.sum, permutation_type="samples", n_resamples=9999, vectorized=False, rng=0
        )
        known = difference(estimate([plain(one)], draws), estimate([plain(other)], draws))
        assert known.p == pytest.approx(flips.pvalue, abs=0.03)


def test_swapped_rows_turn_every_sign_exactly():
    rng = np.random.default_rng(1)
    patient = patients(30, rng)
    draws = resampling(names(patient))
    seeds = [[plain(rng.normal(0.5, 0.1, len(patient))) for _ in range(3)] for _ in range(2)]
    one, other = (estimate(each, draws, row=str(number)) for number, each in enumerate(seeds))
    there, back = difference(one, other), difference(other, one)
    assert (back.value, back.low, back.high) == (-there.value, -there.high, -there.low)
    assert (back.p, back.effect) == (there.p, -there.effect)


def test_all_pairs_at_once_are_the_pairs_one_by_one():
    rng = np.random.default_rng(1)
    patient = patients(30, rng)
    draws = resampling(names(patient))
    rows = [
        estimate([plain(rng.normal(0.5, 0.1, len(patient))) for _ in range(seeds)], draws, row=str(seeds))
        for seeds in (3, 2, 3, 2)
    ]
    found = all_pairs([*rows, None])
    for one, other in itertools.combinations(range(4), 2):
        assert found.p[one, other] == pytest.approx(difference(rows[one], rows[other]).p, rel=1e-4)
    assert np.isnan(found.p[4, :4]).all()
    assert found.num_tested == 6
    assert np.array_equal(found.significant, found.significant.T)


def test_rows_on_different_images_are_compared_by_their_means():
    draws = resampling(names(np.arange(40)))
    rng = np.random.default_rng(0)
    scores = rng.normal(0.5, 0.1, 40)
    some = [(rng.random(40) < 0.7) * 1.0 for _ in range(2)]
    one, other = (
        estimate([RatioStatistic(amounts=(scores * each)[:, None], counts=each[:, None])], draws) for each in some
    )
    known = difference(one, other)
    means = [scores[each > 0].mean() for each in some]
    assert known.value == pytest.approx(means[0] - means[1])
    assert known.low < known.value < known.high
    assert known.p > 0.05


def test_seeds_that_differ_much_tell_nothing_apart():
    rng = np.random.default_rng(0)
    draws = resampling(names(np.arange(100)))
    values = rng.normal(0.5, 0.01, 100)
    one = estimate([plain(values + shift) for shift in (-0.1, 0.0, 0.13)], draws, row="one")
    other = estimate([plain(values + shift) for shift in (-0.1, 0.02, 0.02)], draws, row="other")
    known = difference(one, other)
    assert known.p > 0.5
    assert known.low < 0 < known.high


def test_rows_that_are_the_same_are_the_same():
    draws = resampling(names(np.arange(20)))
    one = estimate([plain(np.linspace(0, 1, 20))], draws)
    known = difference(one, one)
    assert (known.value, known.low, known.high, known.p, known.effect) == (0, 0, 0, 1, 0)


def test_the_effect_is_one_where_every_patient_agrees():
    assert rank_biserials([np.array([0.1, 2.0, 0.3])])[0] == 1.0
    assert rank_biserials([np.array([-0.1, -2.0, 0.0])])[0] == -1.0
    assert rank_biserials([np.array([1.0, -1.0])])[0] == 0.0


def test_differences_of_shares_are_ties_however_they_are_stored():
    one, other = np.array([3, 2, 1, 9, 7]), np.array([2, 3, 0, 4, 3])
    exact = rank_biserials([(one - other).astype(float)])[0]
    for number in (49, 9216):
        for kind in (np.float64, np.float32):
            shares, others = (np.float64((counts / number).astype(kind)) for counts in (one, other))
            assert rank_biserials([shares - others])[0] == exact == pytest.approx(11 / 15)


def tables(rows: np.ndarray, number: int, times: int) -> list:
    """Tests of simulated tables whose rows have true means, on patients that all rows share."""
    rng = np.random.default_rng(2)
    patient = patients(number, rng)
    draws = resampling(names(patient))
    found = []
    for _ in range(times):
        hard = rng.normal(0, 0.15, number)[patient] + rng.normal(0, 0.1, len(patient))
        own = rng.normal(0, 0.05, (len(rows), number))[:, patient] + rng.normal(0, 0.05, (len(rows), len(patient)))
        known = [estimate([plain(values)], draws) for values in rows[:, None] + hard + own]
        found.append(all_pairs(known, scope="trainings"))
    return found


@pytest.mark.parametrize("number", [40, 10])
def test_equal_rows_are_told_apart_in_one_table_of_twenty_at_most(number):
    """Family-wise: a table counts once, however many of its 28 pairs differ. Two standard errors allowed."""
    found = tables(np.full(8, 0.5), number, 300)
    wrong = np.mean([known.num_significant > 0 for known in found])
    assert wrong <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_rows_that_differ_are_told_apart_and_equal_ones_in_the_same_table_are_not():
    """With 40 patients a difference of 0.06 (about 0.7 of its standard deviation) is seen in nine tables of ten."""
    rows = np.array([0.5, 0.5, 0.44, 0.44])
    found = tables(rows, 40, 200)
    truly = rows[:, None] != rows
    upper = np.triu(np.ones((4, 4), dtype=bool), 1)
    assert np.mean([known.significant[truly & upper].mean() for known in found]) >= 0.9
    assert np.mean([known.significant[~truly & upper].any() for known in found]) <= 0.08


def test_letters_share_if_and_only_if_rows_are_not_told_apart():
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 12, 40):
        for share in (0.0, 0.2, 0.6, 1.0):
            apart = np.triu(rng.random((size, size)) < share, 1)
            apart |= apart.T
            found = [set(each.split() if " " in each else each) for each in letters(apart)]
            many = len(cliques(apart)) > 26
            if many:
                found = [set(each.split()) for each in letters(apart)]
            for one, other in itertools.combinations(range(size), 2):
                assert bool(found[one] & found[other]) != apart[one, other]


def test_cliques_need_not_be_nested():
    apart = np.zeros((4, 4), dtype=bool)
    for one, other in [(0, 2), (1, 3)]:
        apart[one, other] = apart[other, one] = True
    assert cliques(apart) == [[0, 1], [0, 3], [1, 2], [2, 3]]
    assert letters(apart) == ["ab", "ac", "cd", "bd"]


@pytest.mark.parametrize("spread", [0.0, 0.003, 0.1])
def test_bounds_decide_on_pairs_as_their_p_values_do(monkeypatch, spread):
    rng = np.random.default_rng(0)
    draws = resampling([f"{number:02d}" for number in range(30)])
    image = rng.normal(0.5, 0.1, 30)
    rows = [
        [mean_of_finite(image + mean + rng.normal(0, 0.01) + rng.normal(0, 0.03, 30)) for _ in range(seeds)]
        for mean, seeds in zip(rng.normal(0, spread, 24), [2, 3, 1] * 8, strict=True)
    ]
    known = pool_trainings([estimate(seeds, draws) for seeds in rows])
    exact = all_pairs(known)
    monkeypatch.setattr(tests, "MAX_EXACT_ROWS", 4)
    computed = []
    all_p = tests._p_values
    monkeypatch.setattr(tests, "_p_values", lambda value, errors: computed.append(len(value)) or all_p(value, errors))
    found = all_pairs(known)
    assert np.array_equal(found.significant, exact.significant)
    assert np.array_equal(found.adjusted < 0.05, exact.adjusted < 0.05)
    assert found.num_tested == exact.num_tested == 276
    assert sum(computed) < 276 / 3
    assert (exact.num_significant > 0) == (spread == 0.1)


def test_holms_verdict_needs_no_p_value_that_is_surely_small_or_large():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.beta(0.2, 1, 40) ** 2
        rejected = holm(p) < 0.05
        level = 0.05 / 40
        bounded = np.where(p < level, 0, np.where(p > 0.05, 1, p))
        assert np.array_equal(holm(bounded) < 0.05, rejected)
