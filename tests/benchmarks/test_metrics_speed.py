"""How fast: `pytest tests/benchmarks --benchmark-enable`. Each group compares us with the oracle, or with the floor."""

from dataclasses import replace

import pytest
import timm
import torch

from metrics.faithfulness import blurred
from metrics.localisation import top_mask_f1
from metrics.sparsity import gini
from tests.metrics import quantus_oracle
from tests.metrics.maps import probe, seeded

STEPS, CHUNK = 16, 64


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Quantus has one, and threads that compete with other processes measure those."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def inputs():
    inputs = seeded(64, 96, 96)
    return inputs.replace(saliency=inputs.saliency.float())


@pytest.mark.benchmark(group="gini, 64 maps of 96 x 96")
@pytest.mark.parametrize("function", [gini, quantus_oracle.sparseness], ids=["loupe", "quantus"])
def test_gini(benchmark, inputs, function):
    benchmark(function, inputs.saliency)


@pytest.mark.benchmark(group="top-mask-f1, 64 maps of 96 x 96")
@pytest.mark.parametrize("function", [top_mask_f1, quantus_oracle.rank_accuracy], ids=["loupe", "quantus"])
def test_top_mask_f1(benchmark, inputs, function):
    benchmark(function, inputs.saliency, inputs.mask)


@pytest.fixture(scope="module")
def network():
    return timm.create_model("mobilenetv2_050", num_classes=6).eval().to(memory_format=torch.channels_last)


@pytest.mark.benchmark(group=f"curves of 8 images of 96 x 96, {STEPS} steps")
def test_curves(benchmark, inputs, network):
    few = inputs.take(slice(8))
    few = few.replace(images=few.images.float())
    given = replace(probe(few, CHUNK), model=network, steps=STEPS, chunk=CHUNK, baselines={"blur": blurred(few.images)})
    benchmark(lambda: replace(given).curves())  # a new probe each time: one keeps its answers


@pytest.mark.benchmark(group=f"curves of 8 images of 96 x 96, {STEPS} steps")
def test_floor_of_curves(benchmark, network):
    """The forward passes alone."""
    batch = torch.rand(CHUNK, 3, 96, 96).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def forwards():
        for _ in range(8 * 2 * STEPS // CHUNK):
            network(batch)

    benchmark(forwards)
