"""A model whose decision we made: it reads one known patch, so the right map is known. Every metric must say so."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from skimage.filters import sobel
from torch import Tensor

from benchmark.registry import entries
from metrics import Metric
from metrics.faithfulness import blurred
from metrics.perturbation import PerturbationContext

NUMBER, SIDE = 4, 32
PATCH = slice(4, 12), slice(18, 26)
"""What the model reads."""
OTHER = slice(20, 28), slice(4, 12)
"""A patch that is as salient, and that the model does not read."""

FAITHFUL = {
    f"metrics.{name}" for name in ("faithfulness", "fills", "flipping", "infidelity", "irof", "regions", "road")
} | {"metrics.subsets"}
METRICS = {
    name: metric
    for name, metric in entries(Metric).items()
    # Scores of the image's own colors within the mask do not depend on whether a map is right.
    if metric.compute.__module__ in FAITHFUL
    or (metric.inputs & {"mask", "reference"} and "images" not in metric.inputs)
}


@dataclass(frozen=True)
class Scene:
    """Images, the model that reads them, and maps of them by name."""

    images: Tensor
    mask: Tensor
    maps: dict[str, Tensor]

    def score(self, metric: Metric, saliency: Tensor) -> float:
        """Mean score of some maps."""
        arguments = {"saliency": saliency, "mask": self.mask, "reference": self.mask.double()}
        if "context" in metric.inputs:
            arguments["context"] = build_context(self.images, saliency)
        if "curves" in metric.inputs:
            arguments["curves"] = build_context(self.images, saliency).curves()
        return metric.compute(**{name: arguments[name] for name in metric.inputs}).mean().item()


def reads_the_patch(images: Tensor) -> Tensor:
    """Two classes: the first for a bright patch, the second for none."""
    evidence = 20 * (images[:, :, *PATCH].mean((1, 2, 3)) - 0.55)
    return torch.stack([evidence, -evidence], dim=1)


def build_context(images: Tensor, saliency: Tensor) -> PerturbationContext:
    random = np.random.default_rng(1)
    return PerturbationContext(
        model=reads_the_patch,
        images=images,
        saliency=saliency,
        classes=torch.zeros(NUMBER, dtype=torch.int64),
        ties=torch.tensor(random.random(saliency.shape)),
        seeds=torch.tensor(random.integers(2**62, size=NUMBER)),
        fills={
            "blur": blurred(images),
            "mean": images.mean((0, 2, 3))[:, None, None],
            "minimum": images.amin(dim=(1, 2, 3), keepdim=True),
        },
        steps=16,
        batch_size=64,
        explain_fn=lambda *_: saliency,
    )


@pytest.fixture(scope="module")
def scene():
    random = np.random.default_rng(0)
    images = 0.3 + 0.1 * torch.tensor(random.random((NUMBER, 3, SIDE, SIDE)))
    images[:, :, *PATCH] += 0.4
    images[:, :, *OTHER] += 0.4
    images[:, :, 22:26, 20:28] += 0.5  # an edge stronger than the patch's own
    mask = torch.zeros(NUMBER, SIDE, SIDE, dtype=torch.bool)
    mask[:, *PATCH] = True
    wrong = torch.zeros_like(mask)
    wrong[:, *OTHER] = True
    edges = np.stack([sobel(image.mean(0).numpy()) for image in images])
    maps = {
        "true": mask.double(),
        "wrong": wrong.double(),
        "noise": torch.tensor(random.random(mask.shape)),
        "edges": torch.tensor(edges),
    }
    return Scene(images, mask, maps)


def test_the_model_reads_the_patch_alone(scene):
    assert (reads_the_patch(scene.images).softmax(1)[:, 0] > 0.9).all()
    changed = scene.images * scene.mask[:, None]
    torch.testing.assert_close(reads_the_patch(changed), reads_the_patch(scene.images))


@pytest.mark.parametrize("name", METRICS)
def test_the_true_patch_beats_a_wrong_one_noise_and_edges(scene, name):
    metric = METRICS[name]
    sign = 1 if metric.higher_is_better else -1
    scores = {kind: sign * scene.score(metric, saliency) for kind, saliency in scene.maps.items()}
    true = scores.pop("true")
    assert {kind for kind, score in scores.items() if score < true} == {"wrong", "noise", "edges"}


def test_all_that_asks_the_model_about_removed_pixels_is_tested():
    listed = {name for name, metric in METRICS.items() if metric.compute.__module__ in FAITHFUL}
    assert len(listed) == 15
