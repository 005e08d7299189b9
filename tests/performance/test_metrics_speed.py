"""How fast the metrics are: each group compares us with the oracle, or with the floor."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import timm
import torch

from benchmark.runtime.device import max_batch_size
from metrics.blocks import BLOCK_PIXELS
from metrics.faithfulness import blurred
from metrics.localization import relevance_mass, top_k, top_mask_f1
from metrics.sparsity import effective_complexity, entropy, gini
from metrics.threshold import roc_auc
from tests.metrics import quantus_oracle
from tests.metrics.maps import build_context, seeded

STEPS = 16
ROUNDS = 15
"""Of a few milliseconds each, so that one is not disturbed."""


@pytest.fixture(scope="module")
def inputs():
    inputs = seeded(64, 96, 96)
    return inputs.replace(saliency=inputs.saliency.float())


@pytest.fixture
def maps(benchmark):
    """64 maps of 224 x 224, positive, with their masks; where nothing is measured, two are enough."""
    inputs = seeded(64 if benchmark.enabled else 2, 224, 224)
    return inputs.replace(saliency=inputs.saliency.float() + 1e-3)


PAIRS = {
    "sparsity": (gini, quantus_oracle.SPARSENESS),
    "entropy": (entropy, quantus_oracle.COMPLEXITY),
    "effective-complexity": (effective_complexity, quantus_oracle.EFFECTIVE_COMPLEXITY),
    "top-mask-f1": (top_mask_f1, quantus_oracle.RANK_ACCURACY),
    "top-k": (top_k, quantus_oracle.top_k_intersection(k=1000)),
    "relevance-mass": (relevance_mass, quantus_oracle.MASS_ACCURACY),
    "roc-auc": (roc_auc, quantus_oracle.AUC),
}


def in_double(maps, *others):
    """Blocks of maps and others, (N, n), as float64, in memory that stays in the caches."""
    size = max(1, BLOCK_PIXELS // maps.shape[1])
    into = [np.empty((size, maps.shape[1])) for _ in (maps, *others)]
    for start in range(0, len(maps), size):
        blocks = [values[start : start + size] for values in (maps, *others)]
        for buffer, block in zip(into, blocks, strict=True):
            np.copyto(buffer[: len(block)], block)
        yield [buffer[: len(blocks[0])] for buffer in into]


def one_logarithm_each(maps, _):
    for (block,) in in_double(maps):
        np.log(block, out=block)


def one_product_each(maps, masks):
    for block, inside in in_double(maps, masks.view(np.uint8)):
        np.multiply(block, inside, out=block)


def one_comparison_each(maps, _):
    """The largest value is known only when all have been read."""
    return maps > maps.max(axis=1, keepdims=True) * np.float32(1e-5)


FLOORS = {
    "entropy": one_logarithm_each,
    "relevance-mass": one_product_each,
    "effective-complexity": one_comparison_each,
}
"""The passes over the maps that the definition needs in float64, without sums, signs and checks."""


@pytest.mark.parametrize("name", FLOORS)
def test_floor_of_metric(benchmark, maps, name):
    benchmark.group = f"{name}, 64 maps of 224 x 224"
    arguments = [values.flatten(1).numpy() for values in (maps.saliency, maps.mask)]
    benchmark.pedantic(FLOORS[name], args=arguments, rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("who", ["loupe", "quantus", "quantus-unchecked"])
def test_metric(benchmark, maps, name, who):
    """Quantus as a user calls it, with the checks that take most of its time, and its own arithmetic alone."""
    benchmark.group = f"{name}, 64 maps of 224 x 224"
    ours, theirs = PAIRS[name]
    arguments = [maps.saliency] if ours in {gini, entropy, effective_complexity} else [maps.saliency, maps.mask]
    function = {
        "loupe": ours,
        "quantus": partial(quantus_oracle.at_once, theirs),
        "quantus-unchecked": partial(quantus_oracle.unchecked, theirs),
    }[who]
    benchmark.pedantic(function, args=arguments, rounds=3 if who == "quantus" else ROUNDS, warmup_rounds=1)


@pytest.fixture(scope="module")
def network():
    return timm.create_model("mobilenetv2_050", num_classes=6).eval().to(memory_format=torch.channels_last)


@pytest.mark.benchmark(group=f"curves of 8 images of 96 x 96, {STEPS} steps")
def test_loupe_curves(benchmark, inputs, network):
    few = inputs.take(slice(8))
    few = few.replace(images=few.images.float())
    context = build_context(few, max_batch_size(few.images))
    context = replace(context, model=network, steps=STEPS, fills={"blur": blurred(few.images)})
    benchmark(lambda: replace(context).curves())  # a new context each time, since one caches its results


@pytest.mark.benchmark(group=f"curves of 8 images of 96 x 96, {STEPS} steps")
def test_floor_of_curves(benchmark, network):
    """The forward passes alone."""
    images = torch.rand(8 * 2 * STEPS, 3, 96, 96).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def forwards():
        for batch in images.split(max_batch_size(images)):
            network(batch)

    benchmark(forwards)
