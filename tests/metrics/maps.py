"""Seeded inputs of the metrics' tests, and a small model for the curves."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from metrics import Metric
from metrics.perturbation import PerturbationContext


@dataclass(frozen=True)
class Inputs:
    """What a metric may be given, and what its curves are made of, for N images."""

    saliency: Tensor
    reference: Tensor
    mask: Tensor
    images: Tensor
    classes: Tensor
    ties: Tensor

    def take(self, index) -> "Inputs":
        return Inputs(*(getattr(self, field.name)[index] for field in fields(self)))

    def replace(self, **changed) -> "Inputs":
        return Inputs(*(changed.get(field.name, getattr(self, field.name)) for field in fields(self)))


def seeded(number: int, height: int = 12, width: int = 15, seed: int = 0) -> Inputs:
    """Maps in [0, 1] with many exact zeros, as a ReLU leaves them, and masks that are never empty or full."""
    random = np.random.default_rng(seed)
    shape = (number, height, width)
    saliency = np.maximum(random.normal(size=shape), 0)
    saliency /= saliency.max(axis=(1, 2), keepdims=True)
    reference = random.integers(0, 4, shape) / 3
    reference[:, 0, 0], reference[:, 0, 1] = 0, 1
    return Inputs(
        saliency=torch.tensor(saliency),
        reference=torch.tensor(reference),
        mask=torch.tensor(reference) > 0.5,
        images=torch.tensor(random.random((number, 3, height, width))),
        classes=torch.tensor(random.integers(0, 3, number)),
        ties=torch.tensor(random.random(shape)),
    )


class Classifier(nn.Module):
    """A fixed classifier of three classes: what it sees depends on place and color, in float64."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Linear(3, 3, bias=False, dtype=torch.float64).requires_grad_(requires_grad=False)
        self.weights.weight.copy_(20 * torch.eye(3))

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        rows = torch.linspace(-1, 1, height, dtype=torch.float64)
        columns = torch.linspace(-1, 1, width, dtype=torch.float64)
        red, green, blue = images.double().unbind(1)
        features = [(red * rows[:, None]), (green * columns), (blue * rows[:, None] * columns)]
        return self.weights(torch.stack([feature.mean((1, 2)) for feature in features], 1))


model = Classifier().eval()


def noisy(images: Tensor) -> Tensor:
    """The same classifier with the rounding of float32: logits differ by an ulp with the place in the batch."""
    logits = model(images).float()
    ulp = torch.finfo(torch.float32).eps * (1 + logits.abs().amax())
    return logits + ulp * (torch.arange(logits.numel()).reshape(logits.shape) * 7 % 5 - 2)


def build_context(inputs: Inputs, batch_size: int = 64) -> PerturbationContext:
    """Returns a context of the fixed classifier and the inputs."""
    return PerturbationContext(
        model=model,
        images=inputs.images,
        saliency=inputs.saliency,
        classes=inputs.classes,
        ties=inputs.ties,
        seeds=(inputs.ties[:, 0, 0] * 2**53).long(),  # go with the image, whatever its place
        fills={
            "blur": torch.full((), 0.5, dtype=torch.float64),
            "mean": inputs.images.new_tensor([0.4, 0.5, 0.6])[:, None, None],
            "minimum": inputs.images.amin(dim=(1, 2, 3), keepdim=True),
        },
        steps=7,
        batch_size=batch_size,
        explain_fn=explain_fn,
    )


def explain_fn(changed, images: Tensor, classes: Tensor) -> Tensor:
    """The gradient of the class's logit, as a method would draw it."""
    with torch.enable_grad():
        inputs = images.detach().clone().requires_grad_()
        target = changed(inputs).gather(1, classes[:, None]).sum()
        (slope,) = torch.autograd.grad(target, inputs)
    return slope.abs().sum(dim=1)


def score(metric: Metric, inputs: Inputs, batch_size: int = 64) -> Tensor:
    """The metric's scores, (N,), with the fixed classifier for those that need a model."""
    arguments = {name: getattr(inputs, name) for name in metric.inputs - {"curves", "context"}}
    if "curves" in metric.inputs:
        arguments["curves"] = build_context(inputs, batch_size).curves()
    if "context" in metric.inputs:
        arguments["context"] = build_context(inputs, batch_size)
    return metric.compute(**arguments)
