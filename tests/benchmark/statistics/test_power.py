"""Equivalence and plans: p-values by hand, error rates and power by simulation."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats

from benchmark.statistics.equivalence import equivalence_p
from benchmark.statistics.power import (
    MAX_GROUPS,
    ComparisonVariance,
    comparison_variance,
    decides,
    groups_needed,
    seeds_needed,
)
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import resampling
from benchmark.statistics.tests import difference
from tests.benchmark.statistics.alone import estimate

GROUPS = 40
DRAWS = resampling([f"g{number:02d}" for number in range(GROUPS)])


def model(values: np.ndarray) -> object:
    """The estimate of a model from scores (seeds, images)."""
    return estimate([RatioStatistic(amounts=seed[:, None], counts=np.ones((GROUPS, 1))) for seed in values], DRAWS)


def test_the_equivalence_test_is_scipys_of_one_training():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.5, 0.1, (2, GROUPS))
    for size in (0.01, 0.05, 0.1):
        gap = first - second
        expected = max(
            scipy.stats.ttest_1samp(gap, size, alternative="less").pvalue,
            scipy.stats.ttest_1samp(gap, -size, alternative="greater").pvalue,
        )
        assert equivalence_p(model(first[None]), model(second[None]), size) == pytest.approx(expected)
        assert equivalence_p(model(second[None]), model(first[None]), size) == pytest.approx(expected)


def test_trainings_that_vary_leave_a_difference_unbounded():
    rng = np.random.default_rng(1)
    scores = rng.normal(0.5, 0.01, (2, 3, GROUPS))
    shifts = np.array([-0.05, 0.0, 0.05])[:, None]
    assert equivalence_p(model(scores[0]), model(scores[1]), 0.03) < 0.01
    assert equivalence_p(model(scores[0] + shifts), model(scores[1] - shifts), 0.03) > 0.05


def test_the_variances_of_a_plan_are_those_that_scores_are_made_of():
    rng = np.random.default_rng(3)
    shared, both = rng.normal(0, 0.2, (2, GROUPS)), rng.normal(0, 0.1, (2, 60, GROUPS))
    found = comparison_variance(*(model(shared[row] + both[row] + rng.normal(0, 0.03, (60, 1))) for row in range(2)))
    assert found.by_group == pytest.approx(2 * 0.2**2, rel=0.5)
    assert found.by_both == pytest.approx(0.1**2, rel=0.3)
    assert found.of_trainings(GROUPS) == pytest.approx(0.03**2 + 0.1**2 / GROUPS, rel=0.4)


@pytest.mark.parametrize("between", [0.0, 0.01])
def test_what_a_plan_needs_has_the_power_that_it_says(between):
    """A plan for 40 groups: as many trainings as it needs see a difference of the size, or bound one of nothing."""
    variance = ComparisonVariance(groups=GROUPS, by_group=2 * 0.05**2, by_training=between**2)
    size, alpha, rng = 0.04, 0.05, np.random.default_rng(2)
    seeds = seeds_needed(variance, size, alpha)
    assert seeds is not None
    hits = np.zeros(2)
    for _ in range(30):
        for which, shift in enumerate((size, 0.0)):
            rows = [
                model(more + rng.normal(0, 0.05, GROUPS) + rng.normal(0, between + 1e-6, (seeds, 1)))
                for more in (shift, 0.0)
            ]
            p = equivalence_p(*rows, size) if which else difference(*rows).p
            hits[which] += p < alpha
    assert (hits / 30 > 0.55).all(), hits  # 80 % are expected; 16 of 30 or fewer have a probability of 0.1 %


def test_needs_shrink_with_precision_and_end_where_trainings_alone_decide():
    noisy = ComparisonVariance(groups=100, by_group=0.04, by_training=0.01**2)
    counts = [groups_needed(noisy, seeds, 0.03, 0.01) for seeds in (3, 10, 20, 40)]
    assert all(more is None or fewer <= more for more, fewer in pairwise(counts))
    for seeds, groups in zip((10, 20, 40), counts[1:], strict=True):
        assert decides(noisy, groups, seeds, 0.03, 0.01)
        assert not decides(noisy, groups - 1, seeds, 0.03, 0.01)
    # What trainings add image by image averages out over more images.
    mixed = ComparisonVariance(groups=100, by_group=0.0, by_training=0.0, by_both=0.04)
    assert groups_needed(mixed, 10, 0.03, 0.01) > groups_needed(mixed, 20, 0.03, 0.01) > 10
    unstable = ComparisonVariance(groups=100, by_group=0.04, by_training=0.05**2)
    assert groups_needed(unstable, 3, 0.03, 0.01) is None
    assert not decides(unstable, MAX_GROUPS, 3, 0.03, 0.01)
    assert seeds_needed(ComparisonVariance(groups=4, by_group=1.0, by_training=0.0), 0.03, 0.01) is None
