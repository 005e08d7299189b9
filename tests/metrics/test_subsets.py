from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from metrics.subsets import (
    SET_FRACTIONS,
    SETS_PER_FRACTION,
    build_sampler,
    faithfulness_correlation,
    faithfulness_estimate,
    hide_sampled,
    loss_correlation,
    pearson,
    sensitivity_n,
)
from tests.metrics.gray import HEIGHT, WIDTH, ask_quantus, gray_probe
from tests.metrics.maps import context, noisy, seeded


def test_faithfulness_correlation_equals_quantus_with_its_draws_replayed():
    asked = gray_probe()

    def replayed(_, number):
        return chosen[number]

    np.random.seed(3)  # noqa: NPY002 - Quantus draws from numpy's global generator
    chosen = []
    for _ in range(30):
        chosen.append(np.random.choice(HEIGHT * WIDTH, 18, replace=False))  # noqa: NPY002 - replayed
        np.random.uniform(size=1)  # noqa: NPY002 - it draws a uniform baseline every time, needed or not
    settings = {"nr_runs": 30, "subset_size": 18, "perturb_baseline": "black"}
    expected = ask_quantus("FaithfulnessCorrelation", asked, softmax=False, seed=3, **settings)
    np.testing.assert_allclose(
        loss_correlation(asked, asked.query_hidden(hide_sampled(asked, replayed), 30)), expected, rtol=1e-5
    )


@pytest.mark.parametrize("steps", [5, 40])
def test_faithfulness_estimate_equals_quantus(steps):
    asked = gray_probe(steps=steps)
    expected = ask_quantus("FaithfulnessEstimate", asked, softmax=False, features_in_step=320 // steps)
    np.testing.assert_allclose(faithfulness_estimate(asked), expected, rtol=1e-5)


def lost_logits(asked, i, places):
    """Loss of the class's logit when each set of places turns dark, one at a time."""
    image, dark = asked.images[i], asked.images[i].min()
    lost = []
    for chosen in places:
        changed = image.clone().flatten(1)
        changed[:, chosen] = dark
        before, after = (asked.model(x[None])[0, asked.classes[i]].item() for x in (image, changed.view_as(image)))
        lost.append(before - after)
    return lost


def test_sensitivity_n_equals_the_literal_loop():
    """Named faults of Quantus: it correlates over the batch, and its sum of saliency is of the last block only."""
    asked = context(seeded(2))
    sizes = [round(share * 180) for share in SET_FRACTIONS for _ in range(SETS_PER_FRACTION)]
    draw = build_sampler(asked, sizes, "sensitivity-n")
    for i in range(2):
        of_sizes = []
        for start in range(0, len(sizes), SETS_PER_FRACTION):
            places = [draw(i, number) for number in range(start, start + SETS_PER_FRACTION)]
            saliency = [asked.saliency[i].flatten()[chosen].sum().item() for chosen in places]
            of_sizes.append(scipy.stats.pearsonr(saliency, lost_logits(asked, i, places)).statistic)
        assert sensitivity_n(asked)[i].item() == pytest.approx(np.mean(of_sizes), rel=1e-9)


def test_faithfulness_correlation_equals_the_literal_loop_on_color_images():
    asked = context(seeded(2))
    draw = build_sampler(asked, [13] * 100, "faithfulness-correlation")
    for i in range(2):
        places = [draw(i, number) for number in range(100)]
        saliency = [asked.saliency[i].flatten()[chosen].sum().item() for chosen in places]
        expected = scipy.stats.pearsonr(saliency, lost_logits(asked, i, places)).statistic
        assert faithfulness_correlation(asked)[i].item() == pytest.approx(expected, rel=1e-9)


def test_sets_have_their_size_and_are_each_drawn_anew():
    asked = context(seeded(2))
    hide = hide_sampled(asked, build_sampler(asked, [5, 5, 90], "purpose"))
    found = hide(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 2, 0]))
    assert found.flatten(1).sum(1).tolist() == [5, 5, 90, 5]
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[3])
    other = hide_sampled(asked, build_sampler(asked, [5, 5, 90], "other purpose"))
    assert not torch.equal(found[0], other(torch.tensor([0]), torch.tensor([0]))[0])


@pytest.mark.parametrize("metric", [faithfulness_correlation, faithfulness_estimate, sensitivity_n])
def test_a_constant_map_and_a_model_that_never_changes_are_undefined(metric):
    inputs = seeded(2)
    inputs.saliency[0] = 0.1
    assert metric(context(inputs)).isnan().tolist() == [True, False]
    inputs.images[1] = 0.1
    assert metric(context(inputs)).isnan().tolist() == [True, True]


def test_pearson_equals_scipy():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 6, 9))
    found = pearson(torch.tensor(a), torch.tensor(b))
    expected = [scipy.stats.pearsonr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("metric", [faithfulness_correlation, sensitivity_n, faithfulness_estimate])
def test_an_answer_that_never_changes_but_by_rounding_is_undefined(metric):
    inputs = seeded(2)
    inputs.images[1] = 0.0  # hidden pixels of a black image stay black
    asked = replace(context(inputs), images=inputs.images.float(), model=noisy)
    assert metric(asked).isnan().tolist() == [False, True]
