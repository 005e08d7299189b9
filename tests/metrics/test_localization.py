from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from metrics import localization
from metrics.localization import pointing_game, relevance_mass, top_k, top_mask_f1
from tests.metrics import quantus_oracle
from tests.metrics.maps import seeded

ALL = [top_mask_f1, top_k, relevance_mass, pointing_game]


@pytest.fixture(scope="module")
def untied():
    """Positive maps without two equal values, since Quantus sorts ties by chance; Quantus wants more than 0 in all."""
    random = np.random.default_rng(1)
    inputs = seeded(12, 20, 20)
    jitter = random.permuted(np.tile(np.linspace(1e-6, 1e-3, 400), (12, 1)), axis=1).reshape(12, 20, 20)
    return inputs.replace(saliency=inputs.saliency + torch.tensor(jitter))


def test_top_mask_f1_equals_quantus_relevance_rank_accuracy(untied):
    expected = quantus_oracle.score_each(quantus_oracle.RANK_ACCURACY, untied.saliency, untied.mask)
    assert top_mask_f1(untied.saliency, untied.mask).tolist() == pytest.approx(expected, abs=1e-12)


def test_relevance_mass_equals_quantus_on_positive_maps(untied):
    expected = quantus_oracle.score_each(quantus_oracle.MASS_ACCURACY, untied.saliency, untied.mask)
    assert relevance_mass(untied.saliency, untied.mask).tolist() == pytest.approx(expected, abs=1e-12)


# A fault of Quantus 0.6.0: what it takes for the size of an image is that of all images but the first two, here 0. It
# warns of the quotient twice, and uses it for nothing unless scores are to be weighted by it.
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:Ratio is smaller:UserWarning")
def test_relevance_mass_of_the_absolute_map_equals_quantus_attribution_localization(untied):
    saliency = untied.saliency - 0.2
    expected = quantus_oracle.score_each(quantus_oracle.ATTRIBUTION_LOCALISATION, saliency, untied.mask)
    assert relevance_mass(saliency.abs(), untied.mask).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("k", [1, 8, 399])
def test_top_k_equals_quantus(untied, k, monkeypatch):
    monkeypatch.setattr(localization, "TOP_FRACTION", k / 400)
    expected = quantus_oracle.score_each(quantus_oracle.top_k_intersection(k=k), untied.saliency, untied.mask)
    assert top_k(untied.saliency, untied.mask).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("side", "k"), [(4, 1), (96, 184), (224, 1000), (448, 4000)])
def test_top_k_takes_as_large_an_area_at_every_resolution(side, k):
    saliency = torch.arange(side**2).view(1, side, side)
    hit = top_k(saliency, saliency >= side**2 - k)
    one = top_k(saliency, saliency == side**2 - 1)
    assert hit.item() == 1
    assert one.item() == 1 / k


def test_top_mask_f1_is_the_f1_of_the_binarised_map(untied):
    for saliency, mask, actual in zip(
        untied.saliency, untied.mask, top_mask_f1(untied.saliency, untied.mask), strict=True
    ):
        chosen = np.zeros(mask.numel(), bool)
        chosen[np.argsort(-saliency.flatten().numpy())[: int(mask.sum())]] = True
        assert actual.item() == pytest.approx(f1_score(mask.flatten().numpy(), chosen), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_ties_count_as_the_mean_over_all_ways_to_break_them(seed):
    random = np.random.default_rng(seed)
    saliency = random.integers(0, 3, 6).astype(float)
    mask = np.arange(6) < random.integers(1, 6)
    size = mask.sum()
    # every order that the values permit is equally likely
    orders = [o for o in permutations(range(6)) if all(saliency[a] >= saliency[b] for a, b in pairwise(o))]
    hits = [mask[list(order[:size])].mean() for order in orders]
    actual = top_mask_f1(torch.tensor(saliency).view(1, 2, 3), torch.tensor(mask).view(1, 2, 3))
    assert actual.item() == pytest.approx(np.mean(hits), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_top_k_counts_ties_likewise(seed, monkeypatch):
    monkeypatch.setattr(localization, "TOP_FRACTION", 3 / 6)
    random = np.random.default_rng(seed)
    saliency, mask = random.integers(0, 3, 6).astype(float), np.arange(6) < random.integers(1, 6)
    orders = [o for o in permutations(range(6)) if all(saliency[a] >= saliency[b] for a, b in pairwise(o))]
    hits = [mask[list(order[:3])].mean() for order in orders]
    actual = top_k(torch.tensor(saliency).view(1, 2, 3), torch.tensor(mask).view(1, 2, 3))
    assert actual.item() == pytest.approx(np.mean(hits), abs=1e-12)


def test_chance_level_of_a_constant_map_is_the_share_of_the_mask():
    mask = seeded(4).mask
    fraction = mask.double().mean((1, 2))
    constant = torch.full(mask.shape, 0.3)
    torch.testing.assert_close(top_mask_f1(constant, mask), fraction)
    torch.testing.assert_close(top_k(constant, mask), fraction)
    torch.testing.assert_close(pointing_game(constant, mask), fraction)
    torch.testing.assert_close(relevance_mass(constant, mask), fraction)


@pytest.mark.parametrize("metric", [top_mask_f1, top_k])
def test_only_the_order_counts(metric):
    inputs = seeded(4)
    torch.testing.assert_close(
        metric(inputs.saliency.exp() * 1e-6 - 5, inputs.mask), metric(inputs.saliency, inputs.mask)
    )


def test_negative_values_have_no_mass():
    saliency, mask = torch.tensor([[[1.0, -9.0, 3.0]]]), torch.tensor([[[True, True, False]]])
    assert relevance_mass(saliency, mask).item() == 0.25


def test_a_map_without_positive_values_scores_no_mass():
    mask = seeded(2).mask
    assert relevance_mass(torch.zeros(mask.shape), mask).tolist() == [0, 0]
    assert relevance_mass(torch.full(mask.shape, -1.0), mask).tolist() == [0, 0]


def test_pointing_game_by_hand():
    saliency = torch.tensor([[[0.1, 0.9]], [[0.9, 0.1]], [[0.9, 0.9]]])
    mask = torch.tensor([[[False, True]]]).expand(3, 1, 2)
    assert pointing_game(saliency, mask).tolist() == [1.0, 0.0, 0.5]


@pytest.mark.parametrize("metric", ALL)
def test_an_empty_mask_is_undefined_and_a_full_one_is_always_hit(metric):
    inputs = seeded(2)
    inputs.mask[0], inputs.mask[1] = False, True
    torch.testing.assert_close(
        metric(inputs.saliency, inputs.mask), torch.tensor([torch.nan, 1.0], dtype=torch.float64), equal_nan=True
    )


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_map_that_is_not_finite_is_undefined(metric, value):
    inputs = seeded(2)
    inputs.saliency[0, 4, 4] = value
    assert metric(inputs.saliency, inputs.mask).isnan().tolist() == [True, False]
