"""What must hold for every metric, present and to come."""

import copy
from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.registry import entries
from metrics import Metric
from tests.metrics.maps import score, seeded

METRICS = entries(Metric)

CASES = {
    "zero map": {"saliency": torch.zeros},
    "constant map": {"saliency": lambda *shape: torch.full(shape, 0.5)},
    "negative map": {"saliency": lambda *shape: -seeded(shape[0], *shape[1:]).saliency},
    "one hot pixel": {"saliency": lambda *shape: torch.eye(shape[1] * shape[2])[: shape[0]].view(shape)},
    "empty mask": {"mask": lambda *shape: torch.zeros(shape).bool(), "reference": torch.zeros},
    "full mask": {"mask": lambda *shape: torch.ones(shape).bool(), "reference": torch.ones},
    "image of one color": {"images": lambda number, *shape: torch.full((number, 3, *shape), 0.5)},
}


@pytest.fixture(params=METRICS, ids=list(METRICS))
def metric(request):
    return METRICS[request.param]


def assert_in_bounds(metric, scores):
    low, high = metric.bounds
    defined = scores[~scores.isnan()]
    assert ((defined >= low) & (defined <= high)).all()


def test_one_score_per_image_within_bounds(metric):
    scores = score(metric, seeded(9))
    assert scores.shape == (9,)
    assert scores.isfinite().all()
    assert_in_bounds(metric, scores)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_batch_does_not_count(metric, size):
    inputs = seeded(64)
    expected = score(metric, inputs)
    parts = [score(metric, inputs.take(part), batch_size=11) for part in torch.arange(64).split(size)]
    torch.testing.assert_close(torch.cat(parts), expected, rtol=0, atol=1e-6)


def test_the_order_does_not_count(metric):
    inputs, order = seeded(64), torch.randperm(64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(score(metric, inputs.take(order)), score(metric, inputs)[order], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_type_of_the_map_counts_only_through_its_rounding(metric, dtype):
    inputs = seeded(9)
    rounded = inputs.saliency.to(dtype)
    expected = score(metric, inputs.replace(saliency=rounded.double()))
    torch.testing.assert_close(score(metric, inputs.replace(saliency=rounded)).double(), expected, rtol=0, atol=1e-6)


def test_inputs_are_not_changed(metric):
    inputs = seeded(5)
    before = copy.deepcopy(inputs)
    score(metric, inputs)
    for field in fields(inputs):
        assert torch.equal(getattr(inputs, field.name), getattr(before, field.name))


@pytest.mark.parametrize("case", CASES)
def test_a_degenerate_input_gives_a_score_in_bounds_or_nan(metric, case):
    inputs = seeded(3)
    scores = score(metric, inputs.replace(**{name: make(3, 12, 15) for name, make in CASES[case].items()}))
    assert scores.shape == (3,)
    assert_in_bounds(metric, scores)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_map_that_is_not_finite_is_undefined_and_disturbs_no_other(metric, value):
    inputs = seeded(3)
    expected = score(metric, inputs)
    inputs.saliency[1, 3, 4] = value
    expected[1] = torch.nan
    torch.testing.assert_close(score(metric, inputs), expected, rtol=0, atol=1e-6, equal_nan=True)


def test_the_docstring_defines_and_the_entry_tells_its_source(metric):
    assert metric.definition.endswith(".")
    assert metric.source
    assert all(heading in metric.compute.__doc__ for heading in ("Args:", "Returns:", "Reference:", "Example:"))


# Few values, so that ties are common.
maps = arrays("float64", (2, 4, 5), elements=st.sampled_from([0.0, 1e-300, 1e-9, 0.1, 0.25, 0.5, 1.0]))


@settings(max_examples=40, deadline=None)
@given(saliency=maps, reference=maps)
def test_any_map_scores_in_bounds_or_nan(saliency, reference):
    inputs = seeded(2, 4, 5).replace(
        saliency=torch.tensor(saliency), reference=torch.tensor(reference), mask=torch.tensor(reference > 0.2)
    )
    for metric in METRICS.values():
        assert_in_bounds(metric, score(metric, inputs))
