"""Scores that query the model, against Quantus 0.6.0 and the bare forward passes, and ROAD's imputation alone.

`pytest tests/performance --benchmark-enable`. All of a group send one ResNet-50 equally many queries about the same
maps: 12 per image. (Of a color image, Quantus flips single channel elements; it is given as many steps, not more.)
"""

from dataclasses import replace

import pytest
import timm
import torch

from benchmark.runtime.device import max_batch_size
from metrics.flipping import pixel_flipping
from metrics.imputation import impute
from metrics.regions import probability_losses, rank_patches
from metrics.smoothing import gaussian_blur
from metrics.subsets import build_sampler, hide_sampled, loss_correlation
from tests.metrics.maps import build_context, seeded
from tests.metrics.quantus_oracle import SILENT, quantus

IMAGES, SIDE, NUM_QUERIES = 8, 128, 12
GROUP = f"{IMAGES} images of {SIDE} x {SIDE}"


@pytest.fixture(scope="module")
def context(measures):
    """Smooth maps, as Grad-CAM's are, and a network that both Loupe and Quantus query."""
    images, side = (IMAGES, SIDE) if measures else (2, 32)
    inputs = seeded(images, side, side)
    inputs = inputs.replace(images=inputs.images.float(), saliency=gaussian_blur(inputs.saliency, side / 10).float())
    network = timm.create_model("resnet50", num_classes=3).eval().to(memory_format=torch.channels_last)
    return replace(build_context(inputs, max_batch_size(inputs.images)), model=network, steps=NUM_QUERIES)


def few_rounds(benchmark, work):
    benchmark.pedantic(work, rounds=3, iterations=1, warmup_rounds=1)


def flipping(context):
    return pixel_flipping(replace(context))  # a new context each time, since one caches its results


def correlation(context):
    new, sizes = replace(context), [context.images.shape[-1]] * context.steps
    return loss_correlation(
        new, new.query_hidden(hide_sampled(new, build_sampler(new, sizes, "benchmark")), context.steps)
    )


def regions(context):
    new = replace(context)
    return probability_losses(new, rank_patches(new, 8), context.steps).mean(1)


def by_quantus(kind, settings):
    def scores(context):
        metric = getattr(quantus, kind)(**settings(context), **SILENT, return_aggregate=False)
        return metric(
            model=context.model,
            x_batch=context.images.numpy().copy(),
            y_batch=context.classes.numpy(),
            a_batch=context.saliency[:, None].numpy().copy(),
            device="cpu",
        )

    return scores


BOTH = {
    "pixel flipping": (
        flipping,
        by_quantus("PixelFlipping", lambda c: {"features_in_step": c.images[0].numel() // c.steps}),
    ),
    "faithfulness correlation": (
        correlation,
        by_quantus("FaithfulnessCorrelation", lambda c: {"nr_runs": c.steps, "subset_size": c.images.shape[-1]}),
    ),
    "region perturbation": (regions, by_quantus("RegionPerturbation", lambda c: {"regions_evaluation": c.steps})),
}


@torch.inference_mode()
def bare_forwards(context):
    """As many images as a score queries, including the original ones."""
    number, *shape = context.images.shape
    images = torch.zeros(context.batch_size, *shape).contiguous(memory_format=torch.channels_last)
    context.model(images[:number])
    for part in torch.arange(number * context.steps).split(context.batch_size):
        context.model(images[: len(part)])


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("peer", ["loupe", "quantus", "floor"])
def test_scores(benchmark, context, name, peer):
    benchmark.group = f"{name}, {GROUP}, {NUM_QUERIES} questions each, ResNet-50"
    work = dict(zip(["loupe", "quantus", "floor"], (*BOTH[name], bare_forwards), strict=True))[peer]
    few_rounds(benchmark, lambda: work(context))


@pytest.mark.parametrize("side", [128, 224])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("peer", ["loupe", "quantus"])
def test_imputation(benchmark, measures, side, share, peer):
    benchmark.group = f"imputation of {share:.0%}, 4 images of {side} x {side}"
    side = side if measures else side // 4
    inputs = seeded(4, side, side)
    images, saliency = inputs.images.float(), gaussian_blur(inputs.saliency, side / 10)
    order = saliency.flatten(1).argsort(dim=1, descending=True)[:, : int(share * side * side)]
    missing = torch.zeros(len(images), side * side, dtype=torch.bool).scatter_(1, order, value=True)
    missing = missing.view(-1, side, side)

    def direct():
        for image, places in zip(images.numpy(), order.numpy(), strict=True):
            quantus.functions.perturb_func.noisy_linear_imputation(image, places, noise=0)

    few_rounds(benchmark, direct if peer == "quantus" else lambda: impute(images, missing))
