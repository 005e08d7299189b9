"""Association within strata: equal to SciPy's coefficients, with the variance that resampling gives."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from benchmark.statistics.association import auc_within, spearman_within

ONE = np.zeros(60, dtype=int)


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(60)
    return x, x + rng.standard_normal(60)


@pytest.mark.parametrize("decimals", [8, 0])
def test_one_stratum_gives_spearmans_correlation(sample, decimals):
    x, y = (np.round(values, decimals) for values in sample)
    assert spearman_within(x, y, ONE).mean() == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("decimals", [8, 0])
def test_one_stratum_gives_the_area_of_scikit_learn(sample, decimals):
    x, y = np.round(sample[0], decimals), sample[1] > 0
    assert auc_within(x, y, ONE).mean() == pytest.approx(roc_auc_score(y, x), abs=1e-12)


def test_differences_between_strata_do_not_count():
    rng = np.random.default_rng(1)
    strata = np.repeat([0, 1], 200)
    x, y = rng.standard_normal((2, 400)) + 9 * strata
    assert stats.spearmanr(x, y).statistic > 0.7
    assert abs(spearman_within(x, y, strata).mean()) < 0.1
    assert roc_auc_score(y > 4.5, x) > 0.95
    assert abs(auc_within(x, (y > 9) | ((y > 0) & (y < 4.5)), strata).mean() - 0.5) < 0.1


@pytest.mark.parametrize("decimals", [8, 0])
@pytest.mark.parametrize("compute", [spearman_within, lambda x, y, strata: auc_within(x, y > 0, strata)])
def test_pseudo_values_have_the_spread_of_the_jackknife(sample, compute, decimals):
    x, y = (np.round(values, decimals) for values in sample)
    strata = np.arange(60) % 3
    pseudo, n = compute(x, y, strata), len(x)
    left_out = np.array([compute(*(np.delete(values, i) for values in (x, y, strata))).mean() for i in range(n)])
    jackknife = n * pseudo.mean() - (n - 1) * left_out
    assert np.corrcoef(pseudo, jackknife)[0, 1] > 0.99
    assert pseudo.std() == pytest.approx(jackknife.std(), rel=0.12)


def test_what_is_constant_has_no_association(sample):
    x, _ = sample
    assert spearman_within(x, np.ones(60), ONE) is None
    assert spearman_within(x, np.arange(60) % 3 * 1.0, np.arange(60) % 3) is None
    assert auc_within(x, np.ones(60, dtype=bool), ONE) is None
    assert spearman_within(x[:0], x[:0], ONE[:0]) is None
    assert auc_within(x[:0], x[:0] > 0, ONE[:0]) is None
