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
from tests.metrics.gray import HEIGHT, WIDTH, gray_context, run_quantus
from tests.metrics.maps import build_context, noisy, seeded


def test_faithfulness_correlation_equals_quantus_with_its_draws_replayed():
    context = gray_context()

    def replayed(_, number):
        return chosen[number]

    np.random.seed(3)  # noqa: NPY002 - Quantus draws from numpy's global generator
    chosen = []
    for _ in range(30):
        chosen.append(np.random.choice(HEIGHT * WIDTH, 18, replace=False))  # noqa: NPY002 - replayed
        np.random.uniform(size=1)  # noqa: NPY002 - it draws a uniform baseline every time, needed or not
    settings = {"nr_runs": 30, "subset_size": 18, "perturb_baseline": "black"}
    expected = run_quantus("FaithfulnessCorrelation", context, softmax=False, seed=3, **settings)
    np.testing.assert_allclose(
        loss_correlation(context, context.query_hidden(hide_sampled(context, replayed), 30)), expected, rtol=1e-5
    )


@pytest.mark.parametrize("steps", [5, 40])
def test_faithfulness_estimate_equals_quantus(steps):
    context = gray_context(steps=steps)
    expected = run_quantus("FaithfulnessEstimate", context, softmax=False, features_in_step=320 // steps)
    np.testing.assert_allclose(faithfulness_estimate(context), expected, rtol=1e-5)


def lost_logits(context, i, indices):
    """Loss of the class's logit when each set of places turns dark, one at a time."""
    image, dark = context.images[i], context.images[i].min()
    lost = []
    for chosen in indices:
        changed = image.clone().flatten(1)
        changed[:, chosen] = dark
        before, after = (context.model(x[None])[0, context.classes[i]].item() for x in (image, changed.view_as(image)))
        lost.append(before - after)
    return lost


def test_sensitivity_n_equals_the_literal_loop():
    """Named faults of Quantus: it correlates over the batch, and its sum of saliency is of the last block only."""
    context = build_context(seeded(2))
    sizes = [round(fraction * 180) for fraction in SET_FRACTIONS for _ in range(SETS_PER_FRACTION)]
    draw = build_sampler(context, sizes, "sensitivity-n")
    for i in range(2):
        of_sizes = []
        for start in range(0, len(sizes), SETS_PER_FRACTION):
            indices = [draw(i, number) for number in range(start, start + SETS_PER_FRACTION)]
            saliency = [context.saliency[i].flatten()[chosen].sum().item() for chosen in indices]
            of_sizes.append(scipy.stats.pearsonr(saliency, lost_logits(context, i, indices)).statistic)
        assert sensitivity_n(context)[i].item() == pytest.approx(np.mean(of_sizes), rel=1e-9)


def test_faithfulness_correlation_equals_the_literal_loop_on_color_images():
    context = build_context(seeded(2))
    draw = build_sampler(context, [13] * 100, "faithfulness-correlation")
    for i in range(2):
        indices = [draw(i, number) for number in range(100)]
        saliency = [context.saliency[i].flatten()[chosen].sum().item() for chosen in indices]
        expected = scipy.stats.pearsonr(saliency, lost_logits(context, i, indices)).statistic
        assert faithfulness_correlation(context)[i].item() == pytest.approx(expected, rel=1e-9)


def test_sets_have_their_size_and_are_each_drawn_anew():
    context = build_context(seeded(2))
    hide = hide_sampled(context, build_sampler(context, [5, 5, 90], "purpose"))
    actual = hide(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 2, 0]))
    assert actual.flatten(1).sum(1).tolist() == [5, 5, 90, 5]
    assert not torch.equal(actual[0], actual[1])
    assert not torch.equal(actual[0], actual[3])
    other = hide_sampled(context, build_sampler(context, [5, 5, 90], "other purpose"))
    assert not torch.equal(actual[0], other(torch.tensor([0]), torch.tensor([0]))[0])


@pytest.mark.parametrize("metric", [faithfulness_correlation, faithfulness_estimate, sensitivity_n])
def test_a_constant_map_and_a_model_that_never_changes_are_undefined(metric):
    inputs = seeded(2)
    inputs.saliency[0] = 0.1
    assert metric(build_context(inputs)).isnan().tolist() == [True, False]
    inputs.images[1] = 0.1
    assert metric(build_context(inputs)).isnan().tolist() == [True, True]


def test_pearson_equals_scipy():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 6, 9))
    actual = pearson(torch.tensor(a), torch.tensor(b))
    expected = [scipy.stats.pearsonr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("metric", [faithfulness_correlation, sensitivity_n, faithfulness_estimate])
def test_an_answer_that_never_changes_but_by_rounding_is_undefined(metric):
    inputs = seeded(2)
    inputs.images[1] = 0.0  # hidden pixels of a black image stay black
    context = replace(build_context(inputs), images=inputs.images.float(), model=noisy)
    assert metric(context).isnan().tolist() == [False, True]
