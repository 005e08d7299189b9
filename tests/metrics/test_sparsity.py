import numpy as np
import pytest
import scipy.stats
import torch

from metrics.sparsity import MIN_RELATIVE_VALUE, effective_complexity, entropy, gini
from tests.metrics import quantus_oracle
from tests.metrics.maps import seeded

ALL = [gini, entropy, effective_complexity]


def test_equals_quantus_sparseness():
    saliency = seeded(12, 20, 20).saliency - 0.2  # signed: both take absolute values
    expected = quantus_oracle.score_each(quantus_oracle.SPARSENESS, saliency)
    assert gini(saliency).tolist() == pytest.approx(expected, abs=1e-5)  # it adds 1e-7 to every pixel


def test_entropy_equals_quantus_complexity_as_a_share_of_its_largest_value():
    saliency = seeded(12, 20, 20).saliency - 0.2
    expected = quantus_oracle.score_each(quantus_oracle.COMPLEXITY, saliency)
    assert (entropy(saliency) * np.log(400)).tolist() == pytest.approx(expected, rel=1e-9)


def test_effective_complexity_equals_quantus_as_a_share_of_the_pixels():
    saliency = seeded(12, 20, 20).saliency
    saliency[:, ::2] *= torch.logspace(-7, 0, 20, dtype=torch.float64)  # some above the threshold, some below
    expected = quantus_oracle.score_each(quantus_oracle.EFFECTIVE_COMPLEXITY, saliency)
    assert 100 < min(expected) < max(expected) < 300
    assert (effective_complexity(saliency) * 400).tolist() == pytest.approx(expected, abs=1e-9)


def test_quantus_effective_complexity_changes_with_the_company():
    """A fault of Quantus 0.6.0, for which the others are given one map per call: it divides by the call's maximum."""
    saliency = torch.stack([torch.logspace(-6, -3, 400), torch.logspace(-6, 0, 400)]).view(2, 20, 20)
    alone = quantus_oracle.score_each(quantus_oracle.EFFECTIVE_COMPLEXITY, saliency)
    together = quantus_oracle.at_once(quantus_oracle.EFFECTIVE_COMPLEXITY, saliency)
    assert together[0] < alone[0]
    assert (effective_complexity(saliency) * 400).tolist() == pytest.approx(alone, abs=1e-9)


def test_entropy_equals_that_of_scipy():
    saliency = seeded(5).saliency - 0.2
    expected = [scipy.stats.entropy(values.abs().flatten(), base=180) for values in saliency]
    assert entropy(saliency).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, -0.2, 1e-3])  # zeros, negative values, neither
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_entropy_is_as_exact_in_lower_precision(dtype, offset):
    saliency = (seeded(5).saliency + offset).to(dtype)
    torch.testing.assert_close(entropy(saliency), entropy(saliency.double()), rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("dtype", "smallest"), [(torch.float32, 2.0**-149), (torch.float64, 5e-324), (torch.float64, 1e-200)]
)
def test_entropy_of_values_at_the_end_of_the_range(dtype, smallest):
    maps = torch.tensor([[[1.0, 1.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]], dtype=dtype) * smallest
    assert entropy(maps).tolist() == pytest.approx([0.5, 1.0], abs=1e-12)
    maps[:, 0, 0] = torch.finfo(dtype).max
    assert entropy(maps).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


def test_entropy_leaves_maps_as_they_are():
    saliency = seeded(3).saliency - 0.2
    before = saliency.clone()
    entropy(saliency)
    assert torch.equal(saliency, before)


def test_effective_complexity_counts_above_the_threshold_only():
    saliency = torch.tensor([[[1.0, -1.0, MIN_RELATIVE_VALUE, 1.1 * MIN_RELATIVE_VALUE, 0.0]]], dtype=torch.float64)
    assert effective_complexity(saliency).item() == 3 / 5


def test_equals_the_mean_difference_of_all_pairs():
    saliency = seeded(5).saliency - 0.2
    values = saliency.abs().flatten(1)
    pairwise = (values[:, :, None] - values[:, None, :]).abs().mean((1, 2)) / (2 * values.mean(1))
    torch.testing.assert_close(gini(saliency), pairwise)


def test_known_distributions():
    n = 400
    one, half, ramp = torch.zeros(n), torch.zeros(n), torch.arange(1.0, n + 1)
    one[7], half[: n // 2] = 5, 2
    actual = gini(torch.stack([one, half, ramp, torch.ones(n)]).view(4, 20, 20))
    assert actual.tolist() == pytest.approx([1 - 1 / n, 1 / 2, (n - 1) / (3 * n), 0], abs=1e-12)
    maps = torch.stack([one, half, torch.ones(n)]).view(3, 20, 20)
    assert entropy(maps).tolist() == pytest.approx([0, np.log(n / 2) / np.log(n), 1], abs=1e-12)
    assert effective_complexity(maps).tolist() == [1 / n, 1 / 2, 1]


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("scale", [1e-30, 1e-8, -1.0, 1e30])
def test_scale_and_sign_do_not_count(metric, scale):
    saliency = seeded(3).saliency
    torch.testing.assert_close(metric(saliency * scale), metric(saliency))


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_zero_map_or_one_that_is_not_finite_is_undefined(metric, value):
    saliency = seeded(2).saliency
    saliency[0] = value
    assert metric(saliency).isnan().tolist() == [True, False]
