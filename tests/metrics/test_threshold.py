import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from metrics.threshold import best_f1, f1_at_half, roc_auc
from tests.metrics import quantus_oracle
from tests.metrics.maps import seeded

ALL = [roc_auc, f1_at_half, best_f1]


@pytest.fixture(scope="module")
def tied():
    """Maps of five values, one of them negative, and one that looks like a rectified one."""
    inputs = seeded(12, 20, 20)
    return inputs.replace(saliency=torch.cat([inputs.saliency[:6], (inputs.saliency[6:] * 4).round() - 1]))


def pairs(inputs):
    return [(s.flatten().numpy(), m.flatten().numpy()) for s, m in zip(inputs.saliency, inputs.mask, strict=True)]


def f1_at(threshold, saliency, mask):
    marked = saliency >= threshold
    return 2 * (marked & mask).sum() / (marked.sum() + mask.sum())


def test_roc_auc_equals_scikit_learn(tied):
    expected = [roc_auc_score(mask, saliency) for saliency, mask in pairs(tied)]
    assert roc_auc(tied.saliency, tied.mask).tolist() == pytest.approx(expected, abs=1e-12)


def test_roc_auc_equals_quantus(tied):
    expected = quantus_oracle.score_each(quantus_oracle.AUC, tied.saliency, tied.mask)
    assert roc_auc(tied.saliency, tied.mask).tolist() == pytest.approx(expected, abs=1e-12)


def test_roc_auc_is_the_share_of_pairs_that_are_won():
    inputs = seeded(5, 6, 7)
    for saliency, mask, actual in zip(inputs.saliency, inputs.mask, roc_auc(inputs.saliency, inputs.mask), strict=True):
        inside, outside = saliency[mask][:, None], saliency[~mask][None]
        won = (inside > outside).double() + (inside == outside).double() / 2
        torch.testing.assert_close(actual, won.mean())


def test_f1_at_half_is_that_of_the_thresholded_map(tied):
    expected = [f1_score(mask, saliency >= (saliency.min() + saliency.max()) / 2) for saliency, mask in pairs(tied)]
    assert f1_at_half(tied.saliency, tied.mask).tolist() == pytest.approx(expected, abs=1e-12)


def test_best_f1_is_the_best_of_a_slow_loop_over_all_thresholds(tied):
    expected = [max(f1_at(t, saliency, mask) for t in np.unique(saliency)) for saliency, mask in pairs(tied)]
    assert best_f1(tied.saliency, tied.mask).tolist() == pytest.approx(expected, abs=1e-12)


def test_best_f1_is_no_less_than_at_half_or_than_marking_everything(tied):
    fraction = tied.mask.double().mean((1, 2))
    best = best_f1(tied.saliency, tied.mask)
    assert (best >= f1_at_half(tied.saliency, tied.mask) - 1e-12).all()
    assert (best >= 2 * fraction / (1 + fraction) - 1e-12).all()


@pytest.mark.parametrize("metric", [roc_auc, best_f1])
def test_only_the_order_counts(metric, tied):
    stretched = tied.saliency.exp() * 1e-6 - 5
    torch.testing.assert_close(metric(stretched, tied.mask), metric(tied.saliency, tied.mask))


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
def test_scale_and_offset_do_not_count_for_f1_at_half(scale, tied):
    # Whole numbers and powers of two: nothing is rounded.
    saliency = (tied.saliency * 8).round()
    expected = f1_at_half(saliency, tied.mask)
    torch.testing.assert_close(f1_at_half((saliency - 3) * scale, tied.mask), expected)


@pytest.mark.parametrize("metric", ALL)
def test_where_a_pixel_lies_does_not_count(metric, tied):
    """So no order among equal values comes from their place."""
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    saliency, mask = (field.flatten(1)[:, order].view(12, 20, 20) for field in (tied.saliency, tied.mask))
    torch.testing.assert_close(metric(saliency, mask), metric(tied.saliency, tied.mask))


def test_a_map_that_is_the_mask_is_perfect_and_its_opposite_the_worst():
    mask = seeded(3).mask
    for metric in ALL:
        assert metric(mask.double(), mask).tolist() == [1, 1, 1]
    assert roc_auc(-mask.double(), mask).tolist() == [0, 0, 0]
    assert f1_at_half(-mask.double(), mask).tolist() == [0, 0, 0]


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 1.0])
def test_a_constant_map_marks_everything_or_nothing(value):
    mask = seeded(3).mask
    constant, fraction = torch.full(mask.shape, value), mask.double().mean((1, 2))
    everything = 2 * fraction / (1 + fraction)
    torch.testing.assert_close(roc_auc(constant, mask), torch.full((3,), 0.5).double())
    torch.testing.assert_close(best_f1(constant, mask), everything)
    torch.testing.assert_close(f1_at_half(constant, mask), everything * (value >= 0.5))


@pytest.mark.parametrize(("metric", "full"), [(roc_auc, torch.nan), (f1_at_half, 2 / 3), (best_f1, 1.0)])
def test_an_empty_mask_and_a_full_one(metric, full):
    mask = torch.tensor([False, True])[:, None, None].expand(2, 2, 2)
    saliency = torch.tensor([[1.0, 1.0], [0.0, 0.4]]).expand(2, 2, 2)
    expected = torch.tensor([torch.nan, full]).double()
    torch.testing.assert_close(metric(saliency, mask).double(), expected, equal_nan=True, check_dtype=False)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_map_that_is_not_finite_is_undefined(metric, value):
    inputs = seeded(2)
    inputs.saliency[0, 4, 4] = value
    assert metric(inputs.saliency, inputs.mask).isnan().tolist() == [True, False]
