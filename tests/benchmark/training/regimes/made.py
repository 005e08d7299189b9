"""A small network and a batch, what an objective showed it, and losses by hand."""

import math

import torch
from torch import nn

from benchmark.registry import entries
from benchmark.training.regimes import Batch, Regime

SIDE = 12


class Tiny(nn.Module):
    """Three classes and a mask of images of 12 pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.classifier = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(6 * 9, 3))
        self.mask = nn.Conv2d(6, 1, 1)

    def forward(self, images):
        return self.classifier(self.body(images))

    def with_mask(self, images):
        # Through the module's own call, so that hooks see this pass too.
        features = []
        handle = self.body.register_forward_hook(lambda _module, _inputs, output: features.append(output))
        try:
            return self(images), self.mask(features[0] if features else self.body(images))[:, 0]
        finally:
            handle.remove()


def network() -> Tiny:
    """In training mode, sure enough of itself that its predictions differ."""
    model = Tiny()
    with torch.no_grad():
        model.classifier[2].weight.mul_(8)
    return model.train()


def batch(size: int = 8, **changes) -> Batch:
    generator = torch.Generator().manual_seed(1)
    settings = {
        "images": 0.2 + 0.6 * torch.rand(size, 3, SIDE, SIDE, generator=generator),
        "labels": torch.arange(size) % 3,
        "class_weights": torch.tensor([0.5, 1.0, 2.0]),
        "progress": 0.5,
        "indices": 2 * torch.arange(size).flip(0),
        "num_images": 20,
        "masks": (torch.rand(size, SIDE, SIDE, generator=generator) > 0.6).float(),
    }
    return Batch(**(settings | changes))


class Watch:
    """What a model was given and what it answered, and whether it was training at the time."""

    def __init__(self, model: nn.Module) -> None:
        self.passes = []
        model.register_forward_hook(self._note)

    def _note(self, model, inputs, output):
        self.passes.append((model.training, inputs[0].detach(), output.detach()))

    def inputs(self, *, training: bool) -> list[torch.Tensor]:
        return [images for mode, images, _ in self.passes if mode == training]

    def outputs(self, *, training: bool) -> list[torch.Tensor]:
        return [logits for mode, _, logits in self.passes if mode == training]


def watched(name: str, now: Batch, seed: int = 0) -> tuple[torch.Tensor, Watch]:
    model = network()
    watch = Watch(model)
    torch.manual_seed(seed)
    return entries(Regime)[name].objective(model, now), watch


def cross_entropy_by_hand(logits: torch.Tensor, now: Batch) -> float:
    shares = logits.double().softmax(dim=1)
    weights = [float(now.class_weights[label]) for label in now.labels]
    losses = [-w * math.log(shares[i, now.labels[i]]) for i, w in enumerate(weights)]
    return sum(losses) / sum(weights)


def divergence_by_hand(logits: torch.Tensor, others: torch.Tensor) -> list[float]:
    before, after = logits.double().softmax(dim=1), others.double().softmax(dim=1)
    return [
        sum(float(p * (p / q).log()) for p, q in zip(*pair, strict=True)) for pair in zip(before, after, strict=True)
    ]


def consistency_by_hand(watch: Watch, now: Batch, weight: float) -> float:
    clean, moved = watch.outputs(training=True)
    apart = divergence_by_hand(clean, moved)
    return cross_entropy_by_hand(clean, now) + weight * sum(apart) / len(apart)


def saliency_by_hand(model: nn.Module, now: Batch) -> torch.Tensor:
    """Gradient of the label's logit, an image at a time."""
    model.eval()
    found = []
    for image, label in zip(now.images, now.labels, strict=True):
        inputs = image[None].clone().requires_grad_()
        found.append(torch.autograd.grad(model(inputs)[0, label], inputs)[0][0])
    model.train()
    return torch.stack(found)


def assert_lowest(mask: torch.Tensor, values: torch.Tensor) -> None:
    """Half of each map, and no value outside is lower, but for the last digit of near equals."""
    assert mask.sum(dim=(1, 2)).tolist() == [SIDE**2 // 2] * len(mask)
    inside, outside = values.where(mask, -torch.inf), values.where(~mask, torch.inf)
    assert (inside.amax(dim=(1, 2)) <= outside.amin(dim=(1, 2)) + 1e-6).all()


def lowest_by_hand(values: torch.Tensor, count: int) -> torch.Tensor:
    """The places of the lowest values of each map, by sorting them."""
    found = torch.zeros_like(values, dtype=torch.bool)
    for number, value in enumerate(values):
        order = sorted((float(value[y, x]), y, x) for y in range(SIDE) for x in range(SIDE))
        for _, y, x in order[:count]:
            found[number, y, x] = True
    return found
