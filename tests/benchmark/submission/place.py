"""A place to submit from: data, a checkpoint that plain PyTorch trained elsewhere, entries and a worker."""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from benchmark.leaderboard.build import rebuild
from benchmark.storage.hashing import file_digest
from benchmark.submission import submit as submitting
from benchmark.submission.request import SubmissionRequest
from benchmark.submission.sandbox.limits import GIGABYTE, Limits
from benchmark.submission.submit import submit
from benchmark.submission.template import TEMPLATE

LIMITS = Limits(seconds=120, memory=4 * GIGABYTE, trust=True)
THEIRS = ("melanoma", "benign")
"""Classes of the checkpoint: not in the order of the data."""


def body() -> nn.Sequential:
    """The network of the template, as its author has it."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2)),
    )


def write_data(root: Path) -> Path:
    """Twenty-four images of two classes with a square of their color, and masks of the square."""
    rng = np.random.default_rng(0)
    for number in range(24):
        name, kind = f"image{number:02d}.png", ("benign", "melanoma")[number % 2]
        pixels = rng.integers(100, 160, (48, 48, 3), dtype=np.uint8)
        mask = np.zeros((48, 48), dtype=np.uint8)
        top, left = rng.integers(0, 24, 2)
        mask[top : top + 20, left : left + 20] = 255
        pixels[mask > 0, number % 2] += 80
        for directory, plane in ((root / "images" / kind, pixels), (root / "masks", mask)):
            directory.mkdir(parents=True, exist_ok=True)
            Image.fromarray(plane).save(directory / name)
    return root


def train_elsewhere(data: Path, file: Path) -> None:
    """A plain PyTorch script: its own loader, its own loop, its own normalization."""
    torch.manual_seed(0)
    pictures = sorted((data / "images").rglob("*.png"))[:16]
    pixels = [np.asarray(Image.open(path).resize((96, 96), Image.Resampling.BOX)) for path in pictures]
    images = torch.tensor(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    labels = torch.tensor([THEIRS.index(path.parent.name) for path in pictures])
    network = body().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(12):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network((images - 0.5) / 0.5), labels).backward()
        optimizer.step()
    safetensors.torch.save_file(network.state_dict(), file)


def entry_text(name: str, file: Path) -> str:
    """The template, with a checkpoint."""
    arguments = f'file="{file.name}", sha256="{file_digest(file)}", classes={THEIRS!r}, regime="standard", '
    arguments += 'trained_on="sixteen of the images", source="this test"'
    text = TEMPLATE.replace("NAME", name).replace("CONSTANT", name.upper())
    text = text.replace("import Architecture\n", "import Architecture, Checkpoint\n")
    text = text.replace("input_size=224", "input_size=96")
    return text.replace('license="Apache-2.0",', f'license="MIT",\n    checkpoint=Checkpoint({arguments}),')


class Place:
    """Folders of their own, data, entries and a worker."""

    def __init__(self, root: Path, running) -> None:
        self.root, self.running = root, running
        self.data, self.entries, self.results = root / "squares", root / "entries", root / "results"

    def submit(self, entry: Path):
        order = SubmissionRequest(
            data=self.data, device="cpu", regimes=("standard",), changes={"epochs": 1, "num_perturbed": 4}
        )
        return submit(entry, order, self.running, lambda _: None, limits=LIMITS)


def watch_tables(there: Place, patch) -> None:
    """Writes down what tables the child made, and how often the parent makes them."""
    publish, there.made, there.rebuilt = submitting._publish, [], []

    def published(made, *others):
        there.made.append({path.name: path.read_bytes() for path in made.glob("*/*/leaderboard*")})
        return publish(made, *others)

    def rebuilding(directory):
        there.rebuilt.append(directory)
        return rebuild(directory)

    patch.setattr(submitting, "_publish", published)
    patch.setattr(submitting, "rebuild", rebuilding)
