"""What is computed for many statistics together equals what is computed for each alone."""

from dataclasses import astuple

import numpy as np
import pytest

from benchmark.statistics import errors
from benchmark.statistics.bootstrap import _mean_ratios
from benchmark.statistics.intervals import LEVEL, _central_ends
from benchmark.statistics.ratios import RatioStatistic, mean_of_finite, mean_ratio
from benchmark.statistics.resampling import resampling

rng = np.random.default_rng(0)
GROUPS = [f"p{number // 2}" for number in range(30)]


def seeds(draws, number, missing=0):
    """A mean by seed; some images have no score."""
    scores = rng.random((number, len(GROUPS)))
    scores[:, :missing] = np.nan
    return [draws.grouped(mean_of_finite(row)) for row in scores]


@pytest.mark.parametrize("number", [1, 2, 5])
def test_errors_of_many_statistics_are_those_of_each(number):
    draws = resampling(GROUPS)
    columns = {name: seeds(draws, number, missing) for name, missing in (("a", 0), ("b", 0), ("c", 4), ("d", 4))}
    columns["none"] = seeds(draws, number, len(GROUPS))
    two = RatioStatistic(amounts=rng.random((len(GROUPS), 2)), counts=np.ones((len(GROUPS), 2)))
    columns["two"] = [draws.grouped(two)] * number
    together = errors.error_components(columns, trained=True)
    assert list(together) == list(columns)
    for name, parts in columns.items():
        alone, value = errors._errors(parts, trained=True)
        for one, other in zip(astuple(together[name][0]), astuple(alone), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_equal(together[name][1], value)


def test_means_of_many_statistics_over_columns_without_counts():
    counts = rng.integers(0, 2, (3, 50)).astype(float)
    values = rng.random((4, 3, 50)) * counts
    expected = [mean_ratio(value.T.copy(), counts.T.copy()) for value in values]
    np.testing.assert_allclose(_mean_ratios(values.copy(), counts), expected, rtol=1e-15)
    np.testing.assert_array_equal(
        _mean_ratios(values[:, :1].copy(), counts[:1]),
        [mean_ratio(value[:1].T, counts[:1].T) for value in values],
    )


@pytest.mark.parametrize("number", [1, 2, 3, 21, 400, 2000])
def test_central_ends_are_the_quantiles_of_numpy(number):
    draws = rng.normal(size=(5, number))
    tail = (1 - LEVEL) / 2
    expected = [np.quantile(draws, tail, axis=1), -np.quantile(-draws, tail, axis=1)]
    np.testing.assert_array_equal(_central_ends(draws), expected)
    np.testing.assert_array_equal(_central_ends(-draws), -_central_ends(draws)[::-1])
