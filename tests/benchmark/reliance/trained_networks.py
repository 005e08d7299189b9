"""Networks that learn to use a lesion or a mark in seconds, and mixtures of them."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmark.reliance.measure import MeasuredImages

LAYER = "5"
EPOCHS = 25
LEARNED, MAX_ATTEMPTS, SEEDS_APART = 0.9, 5, 1000
"""Accuracy on training images from which a network counts, and how often it starts."""


def to_tensor(pixels):
    return torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255


def network(seed: int, stride=1) -> nn.Sequential:
    """Builds a network of random weights: three convolutions, and a maximum over positions. A stride of 2 is faster."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 24, 3, stride=stride, padding=1), nn.ReLU()),
        *(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(4), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, 2)),
    )


def train(pixels, labels, seed: int, epochs=EPOCHS) -> nn.Module:
    """Trains a network, with mirrored images. One that has not learned its training images starts again."""
    for attempt in range(MAX_ATTEMPTS):
        model = train_once(pixels, labels, seed + SEEDS_APART * attempt, epochs)
        if ((predict(model, pixels) > 0.5) == labels).mean() > LEARNED:
            return model
    raise RuntimeError(f"seed {seed}: no network learns its training images")


def train_once(pixels, labels, seed: int, epochs: int) -> nn.Module:
    model = network(seed, stride=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images, target = to_tensor(pixels), torch.tensor(labels)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(32):
            flipped = images[batch].flip(3) if torch.rand(1, generator=generator) < 0.5 else images[batch]
            loss = cross_entropy(model(flipped), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def to_logits(probabilities):
    """Returns finite logits of probabilities (N, 2), as the output (N, 2, 1, 1) of a layer."""
    return probabilities.clamp(min=1e-12).log()[..., None, None]


class Blend(nn.Module):
    """The mean of two networks' probabilities. The second one has a weight."""

    def __init__(self, first: nn.Module, second: nn.Module, weight: float):
        super().__init__()
        self.first, self.second, self.weight = first, second, weight
        self.add_module(LAYER, nn.Identity())

    def forward(self, images):
        mixed = (1 - self.weight) * self.first(images).softmax(1) + self.weight * self.second(images).softmax(1)
        return self.get_submodule(LAYER)(to_logits(mixed)).flatten(1)


class Both(nn.Module):
    """A network that answers 1 where two networks do: the product of their probabilities of class 1."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second
        self.add_module(LAYER, nn.Identity())

    def forward(self, images):
        both = self.first(images).softmax(1)[:, 1] * self.second(images).softmax(1)[:, 1]
        return self.get_submodule(LAYER)(to_logits(torch.stack([1 - both, both], 1))).flatten(1)


class Unsure(nn.Module):
    """A network whose probabilities are always equal."""

    def forward(self, images):
        return torch.zeros(len(images), 2)


def predict(model: nn.Module, pixels):
    """Returns the probability of class 1, (N,)."""
    with torch.no_grad():
        return model(to_tensor(pixels)).double().softmax(1)[:, 1].numpy()


def sharp(model: nn.Sequential, images: MeasuredImages) -> nn.Module:
    """Scales the logits of a network, so that its answers differ over images and are neither sure nor all alike."""
    with torch.no_grad():
        logits = model(to_tensor(images.pixels))
        difference = logits[:, 1] - logits[:, 0]
        last = model[-1]
        last.weight /= difference.std()
        last.bias.copy_((last.bias - logits.mean(0)) / difference.std())
    return model.eval()
