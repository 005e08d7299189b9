import pytest
import torch

from metrics.sparsity import gini
from tests.metrics.maps import seeded
from tests.metrics.quantus_oracle import sparseness


def test_equals_quantus_sparseness():
    saliency = seeded(12, 20, 20).saliency - 0.2  # signed: both take absolute values
    assert gini(saliency).tolist() == pytest.approx(sparseness(saliency), abs=1e-5)  # Quantus adds 1e-7 to every pixel


def test_equals_the_mean_difference_of_all_pairs():
    saliency = seeded(5).saliency - 0.2
    values = saliency.abs().flatten(1)
    pairwise = (values[:, :, None] - values[:, None, :]).abs().mean((1, 2)) / (2 * values.mean(1))
    torch.testing.assert_close(gini(saliency), pairwise)


def test_known_distributions():
    n = 400
    one, half, ramp = torch.zeros(n), torch.zeros(n), torch.arange(1.0, n + 1)
    one[7], half[: n // 2] = 5, 2
    found = gini(torch.stack([one, half, ramp, torch.ones(n)]).view(4, 20, 20))
    assert found.tolist() == pytest.approx([1 - 1 / n, 1 / 2, (n - 1) / (3 * n), 0], abs=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, -1.0, 1e30])
def test_scale_and_sign_do_not_count(scale):
    saliency = seeded(3).saliency
    torch.testing.assert_close(gini(saliency * scale), gini(saliency))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_zero_map_or_one_that_is_not_finite_is_undefined(value):
    saliency = seeded(2).saliency
    saliency[0] = value
    assert gini(saliency).isnan().tolist() == [True, False]
