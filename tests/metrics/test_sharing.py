"""Metrics share intermediate results of the same tensors, only where they may, and only of the same tensors."""

from unittest import mock

import numpy as np
import pytest
import torch

from benchmark.registry import entries
from metrics import Metric, sorting
from metrics.sharing import shared, sharing
from metrics.sparsity import effective_complexity
from tests.metrics.maps import score, seeded

METRICS = [metric for metric in entries(Metric).values() if not metric.inputs & {"curves", "context"}]


@shared
def total(first, second):
    return first + second.sum()


def test_results_are_shared_within_the_block_only():
    one, other = torch.ones(2), torch.zeros(2)
    with sharing():
        first = total(one, other)
        assert total(one, other) is first
        assert total(other, one) is not first
        assert total(one.clone(), other) is not first
    one += 1
    assert total(one, other).tolist() == [2, 2]
    with sharing():
        assert total(one, other).tolist() == [2, 2]


def test_a_block_within_another_shares_with_it():
    values = torch.ones(2)
    with sharing():
        outer = total(values, values)
        with sharing():
            assert total(values, values) is outer
        assert total(values, values) is outer


def test_a_metric_called_alone_looks_for_the_extremes_once(monkeypatch):
    found, amax = [], torch.Tensor.amax
    monkeypatch.setattr(torch.Tensor, "amax", lambda *arguments: found.append(amax(*arguments)) or found[-1])
    effective_complexity(seeded(3).saliency)
    assert len(found) == 1


def test_a_freed_tensor_gives_its_place_to_no_other():
    with sharing():
        found = [total(torch.full((1,), float(n)), torch.zeros(1)).item() for n in range(100)]
    assert found == list(range(100))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_scores_are_the_same_alone_and_shared(dtype):
    inputs = seeded(3, 64, 64)
    inputs = inputs.replace(saliency=inputs.saliency.to(dtype))
    alone = [score(metric, inputs) for metric in METRICS]
    with sharing():
        together = [score(metric, inputs) for metric in METRICS]
    for metric, one, other in zip(METRICS, alone, together, strict=True):
        assert torch.equal(one, other), metric.name


def test_maps_are_sorted_once_for_all_metrics():
    inputs = seeded(3)
    with sharing(), mock.patch.object(sorting.np, "sort", wraps=np.sort) as sort:
        for metric in METRICS:
            score(metric, inputs)
    assert sort.call_count == 1
