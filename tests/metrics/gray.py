"""Contexts of one-channel images, of which Quantus 0.6.0 and Loupe remove the same elements, and calls of Quantus."""

import warnings
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from metrics.perturbation import PerturbationContext
from tests.metrics import maps
from tests.metrics.quantus_oracle import SILENT, quantus

HEIGHT, WIDTH = 16, 20


class Classifier(nn.Module):
    """Three classes of a fixed net of one hidden layer; single-precision images, computed in double."""

    def __init__(self, height=HEIGHT, width=WIDTH):
        super().__init__()
        random = np.random.default_rng(5)
        self.hidden = torch.tensor(random.normal(size=(height * width, 8)) / 6)
        self.out = torch.tensor(random.normal(size=(8, 3)))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(images.double().flatten(1) @ self.hidden) @ self.out


def gray_context(number: int = 4, steps: int = 16, fill: float | None = None) -> PerturbationContext:
    """One-channel float32 images of 16 x 20 with signed maps of unique values; `fill` replaces all baselines."""
    inputs = maps.seeded(number, HEIGHT, WIDTH)
    random = np.random.default_rng(1)
    inputs = inputs.replace(
        images=inputs.images[:, :1].float(),
        saliency=torch.tensor(random.normal(size=(number, HEIGHT, WIDTH))),
    )
    context = maps.build_context(inputs)
    minimum = inputs.images.amin(dim=(1, 2, 3), keepdim=True)
    fills = {name: minimum if fill is None else torch.tensor(fill) for name in context.fills}
    return replace(context, model=Classifier().eval(), steps=steps, fills=fills)


def run_quantus(kind: str, context: PerturbationContext, *, softmax: bool, seed: int | None = None, **settings) -> list:
    """Returns the scores of a Quantus metric, with one call and a newly seeded numpy generator per image."""
    metric = getattr(quantus, kind)(**settings, **SILENT, return_aggregate=False)
    scores = []
    for i in range(len(context.images)):
        if seed is not None:
            np.random.seed(seed)  # noqa: NPY002 - it draws from numpy's global generator
        one = slice(i, i + 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`trapz` is deprecated")
            scores += metric(
                model=context.model,
                x_batch=context.images[one].numpy().copy(),
                y_batch=context.classes[one].numpy(),
                a_batch=context.saliency[one, None].numpy().copy(),
                softmax=softmax,
                device="cpu",
            )
    return scores
