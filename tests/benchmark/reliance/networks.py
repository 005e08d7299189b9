"""Images with a red lesion and a blue mark, and networks that were built to read one of them."""

import numpy as np
import torch
from torch import nn

from benchmark.reliance.measure import MeasuredImages

SIDE = 32
RED, BLUE = (1.0, -0.5, -0.5), (-0.5, -0.5, 1.0)
LAYER = "1"


class Reader(nn.Module):
    """Two classes. The second one's logit is high where the image has a color: a sum over pixels, less a threshold."""

    def __init__(self, *colors, gain=1.0, threshold=8.0):
        super().__init__()
        self.first = nn.Conv2d(3, max(len(colors), 1), 1)
        with torch.no_grad():
            for index, color in enumerate(colors):
                self.first.weight[index] = torch.tensor(color)[:, None, None]
            self.first.bias.fill_(-0.2)
        self.add_module("1", nn.ReLU())
        self.gain, self.threshold = gain, threshold

    def forward(self, images):
        evidence = self.get_submodule("1")(self.first(images)).sum(dim=(1, 2, 3))
        logit = self.gain * (evidence - self.threshold)
        return torch.stack([-logit, logit], dim=1) / 2


def disc(y, x, radius):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def pictures(number=24, seed=0, radius=3.5, *, dose=None):
    """Gray images: of every second one the lesion is red and the label 1.

    A blue mark is far from the lesion: in one half of the images, or (dose 1) in all of label 1, or (dose 0) in none.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(110, 140, (number, SIDE, SIDE, 3))
    masks, marks = np.zeros((2, number, SIDE, SIDE), dtype=bool)
    labels = np.arange(number) % 2
    for index in range(number):
        y, x = rng.uniform(7, SIDE - 7, 2)
        masks[index] = disc(y, x, radius)
        marks[index] = disc((y + SIDE / 2) % SIDE, (x + SIDE / 2) % SIDE, 3)
        if labels[index]:
            pixels[index][masks[index]] = (220, 60, 60)
        if index % 4 < 2 if dose is None else labels[index] and dose:
            pixels[index][marks[index]] = (60, 60, 220)
    names = [f"image{index}" for index in range(number)]
    images = MeasuredImages(pixels=pixels.astype(np.uint8), expert_masks=masks, labels=labels, names=names)
    return images, marks
