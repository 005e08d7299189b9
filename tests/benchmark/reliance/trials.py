"""Trials of known truth: how often reliance finds what a network was made to use, and how often it finds nothing.

    python -m tests.benchmark.reliance.trials [--power 20] [--null 200]

prints three tables. They take about ten minutes of one core. The tests run a small part of them.

Each background is rendered four times: with a red or a yellow lesion of one shape, with the sticker and without it. All
else is the same. Networks train on all four. So neither the skin nor the background carries a class.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from torch import nn
from torch.nn.functional import cross_entropy

from benchmark.data.dataset import ImageDataset
from benchmark.leaderboard.analysis.fourfold import CELLS, NO, UNDECIDED, YES, build_fourfold, judge_use
from benchmark.leaderboard.columns import ACCURACY, COLUMNS
from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.reliance import MASS
from benchmark.leaderboard.load.score_layout import ScoreSection
from benchmark.leaderboard.reliance_columns import (
    LESION_MASS,
    MARK_EFFECT,
    RELIANCE,
    RELIANCE_COLUMNS,
    build_class_columns,
    reliance_column,
)
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.reliance.fills import FILLS
from benchmark.reliance.marks import Marks, plan_marks
from benchmark.reliance.measure import MeasuredImages, measure_reliance
from benchmark.reliance.variants import Variant
from benchmark.statistics.bootstrap import Estimate, estimates
from benchmark.statistics.proportions import wilson
from benchmark.statistics.resampling import Resampling, resampling
from datasets.dermsynth import camera, distractors, skin
from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.diagnoses import random_point
from datasets.dermsynth.fields import region
from datasets.dermsynth.plan import SHORTCUT, Case, cases

SIDE = 32
LAYER = "5"
NUM_CASES = 240
"""Number of backgrounds, of which a third are test images."""
EPOCHS = 25
LEARNED, MAX_ATTEMPTS, SEEDS_APART = 0.9, 5, 1000
"""Accuracy on training images from which a network counts, and how often it starts."""
DOSES = (0.0, 1.0)
"""Fractions of the training images with a yellow lesion that have the mark. No others have it."""
WEIGHTS = {"mark": (0.2, 0.35, 0.5), "nothing": (0.05, 0.1, 0.2)}
"""Weights of a network that uses the lesion, in a mean with one that uses the mark, or nothing."""
NULL_IMAGES = 40
LESION_COLORS = (0.45, 0.08, 0.1), (0.95, 0.89, 0.45)
"""Colors of both kinds, sRGB: crust and pus. They are opaque, since a network must see them on every skin."""
VISIBLE = 0.02
"""Opacity from which the mask has a lesion, low so that its soft edge is inside."""
CLASSES = ("other", SHORTCUT)
CPU = torch.device("cpu")
TRUTH = {"lesion": (YES, NO), "mark": (NO, YES), "both": (YES, YES)}
"""Whether each network uses the lesion and the mark."""
SHOWN = {"on the lesion": YES, "on the mark": NO}
"""The maps, and whether they show the lesion."""
COLUMNS_OF_TRIALS = (
    *(column for column in COLUMNS if column.name == ACCURACY),
    *RELIANCE_COLUMNS,
    *build_class_columns(CLASSES),
)
"""With those of the classes: a use in one class forbids a no over all of them."""


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Backgrounds, each with both kinds of lesion, without the mark and with it.

    Attributes:
        cases: Their plans. The diagnosis there plays no part.
        pixels: By kind and mark, (N, 2, 2, S, S, 3), uint8.
        masks: What the lesion covers, (N, S, S).
        marks: What the mark covers, (N, S, S).
        kinds: The kind of lesion that each test image has, (N,).
        has_mark: Whether each test image has the mark, (N,).
    """

    cases: list[Case]
    pixels: np.ndarray
    masks: np.ndarray
    marks: np.ndarray
    kinds: np.ndarray
    has_mark: np.ndarray

    @property
    def test(self):
        """Which are test images, (N,). No patient is in both parts."""
        return np.array([case.split == "test" for case in self.cases])

    def seen(self, *, other_kind=False, other_mark=False):
        """Returns one version of each image, (N, S, S, 3): that of the test, or one with the other lesion or mark."""
        rows = np.arange(len(self.kinds))
        return self.pixels[rows, self.kinds ^ int(other_kind), self.has_mark ^ int(other_mark)]


class StoredVersions:
    """Images with versions that are built once. Those of one trial differ in the planned marks alone."""

    def __init__(self, images: MeasuredImages, marks: Marks | None, stored: dict[str, list[Variant]]):
        self.images, self.marks, self.stored = images, marks, stored
        self.expert_masks, self.labels = images.expert_masks, images.labels

    def __len__(self) -> int:
        return len(self.images)

    def variants(self, index: int) -> list[Variant]:
        name = self.images.names[index]
        if name not in self.stored:
            self.stored[name] = self.images.variants(index)
        changed = self.marks.variants[index] if self.marks else None
        return self.stored[name] + ([changed] if changed else [])


def photograph(case: Case, *, kind: int, marked: bool):
    """Renders a background with a red (0) or a yellow lesion (1). Returns pixels and masks of lesion and mark."""
    body, overlay, lamp, sensor = map(np.random.default_rng, case.stream.spawn(4))
    canvas = patient(case, body, kind)
    free = distractors.room(canvas)
    distractors.hair(overlay, canvas)
    light = skin.add_background(overlay, camera.illuminate(lamp, canvas), canvas.skin)
    light = distractors.pen_dots(overlay, distractors.ruler(overlay, light))
    mark = np.zeros((SIDE, SIDE), dtype=bool)
    if marked:
        light, mark = distractors.sticker(overlay, light, free)
    return camera.expose(sensor, light), canvas.anything(), mark


def patient(case: Case, rng: np.random.Generator, kind: int) -> Canvas:
    """Draws skin with a lesion that leaves room for the mark. Random numbers and shape are those of the other kind."""
    while True:
        canvas = skin.ground(rng, SIDE, case.patient)
        distractors.blemishes(rng, canvas)
        where = (
            region(rng, SIDE, random_point(rng, canvas), rng.uniform(0.08, 0.11), soft=0.4, ragged=0.3) * canvas.skin
        )
        canvas.cover(0.9 * where, LESION_COLORS[kind])
        canvas.record("Patch", where > VISIBLE)
        if canvas.anything().mean() > 0.01 and distractors.room(canvas).max() > distractors.MARK_RADIUS:
            return canvas


def render(seed: int, number=NUM_CASES) -> Photographs:
    """Renders the versions of a trial's backgrounds. No other seed has any of them."""
    planned = list(cases(number, seed=seed, train_fraction=0.65))
    scenes = [
        [photograph(case, kind=kind, marked=mark) for kind in (0, 1) for mark in (False, True)] for case in planned
    ]
    pixels, masks, marks = (np.array([[scene[part] for scene in row] for row in scenes]) for part in range(3))
    # Test images have each combination equally often, in random order.
    test = np.array([case.split == "test" for case in planned])
    combinations = np.zeros(number, dtype=int)
    combinations[test] = np.random.default_rng(seed).permutation(np.arange(test.sum()) % 4)
    return Photographs(
        cases=planned,
        pixels=pixels.reshape(number, 2, 2, SIDE, SIDE, 3),
        masks=masks[:, 0],
        marks=marks[:, 1],
        kinds=combinations // 2,
        has_mark=combinations % 2,
    )


def label_of(name: str, kinds, has_mark):
    """Returns the labels of a task. "both" needs a yellow lesion and the mark. All others need one of the two."""
    return {"mark": has_mark, "both": kinds & has_mark}.get(name, kinds)


def training_images(photographs: Photographs, name: str, dose: float | None):
    """Returns pixels and labels of a task: all versions, or those with the mark at a dose on yellow lesions alone."""
    pixels = photographs.pixels[~photographs.test]
    kinds, has_mark = np.indices(pixels.shape[:3])[1:]
    chosen = np.ones_like(kinds, dtype=bool)
    if dose is not None:
        marked = np.arange(len(pixels)) < round(dose * len(pixels))
        chosen = has_mark == (marked[:, None, None] & (kinds == 1))
    return pixels[chosen], label_of(name, kinds, has_mark)[chosen]


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


def dataset(photographs: Photographs, labels) -> ImageDataset:
    """Wraps the test images, so that marks can be planned. The name of a class says which one a mark indicates."""
    test = photographs.test
    marked = np.flatnonzero(test & (photographs.has_mark == 1))
    samples = {
        "id": [case.stem for case in photographs.cases],
        "label": labels,
        "split": np.where(test, "test", "train"),
    }
    return ImageDataset(
        name="made",
        key="made",
        synthetic=True,
        classes=CLASSES,
        available=len(test),
        left_out=(),
        manifest=Path("none"),
        images=photographs.seen(),
        samples=pd.DataFrame(samples),
        mask_arrays=photographs.marks[marked] * np.uint8(255),
        references=pd.DataFrame({"sample": marked, "level": "shortcut", "rater": "", "characteristic": ""}),
    )


def predict(model: nn.Module, pixels):
    """Returns the probability of class 1, (N,)."""
    with torch.no_grad():
        return model(to_tensor(pixels)).double().softmax(1)[:, 1].numpy()


def predictions(model: nn.Module, images, pixels, labels) -> pd.DataFrame:
    """Predicts the test images and measures the reliance on their regions."""
    predicted = (predict(model, pixels) > 0.5).astype(int)
    frame = measure_reliance(model, LAYER, images, CPU)
    return frame.assign(label=labels, predicted=predicted)


def summarize(frame: pd.DataFrame, masses, draws: Resampling) -> dict[str, Estimate]:
    """Computes the columns of the leaderboard from predictions and from the mass of each map on the lesion, (N,)."""
    number = len(frame)
    section = ScoreSection(
        image_indices=np.arange(number), characteristics=np.zeros(number, dtype=int), values=np.asarray(masses)
    )
    row = RowData(
        images=[str(index) for index in range(number)],
        classes=CLASSES,
        scores={MASS: section},
        method="made",
        predictions=frame,
    )
    found = {column.name: [made] for column in COLUMNS_OF_TRIALS if (made := column.statistic(row)) is not None}
    bounds = {column.name: column.bounds for column in COLUMNS_OF_TRIALS}
    return estimates(found, draws, row="made", bounds=bounds)


class Trial:
    """The test images of one trial, on which networks are measured. Versions are built once."""

    def __init__(self, photographs: Photographs, seed: int):
        self.photographs, self.test = photographs, photographs.test
        self.masks, self.pixels = photographs.masks[self.test], photographs.seen()[self.test]
        self.draws = resampling(
            [case.patient.name for case, is_test in zip(photographs.cases, self.test, strict=True) if is_test]
        )
        rng = np.random.default_rng(seed)
        on_lesion, on_mark = 0.8 + 0.1 * rng.random(len(self.masks)), 0.01 * rng.random(len(self.masks))
        self.masses = dict(zip(SHOWN, (on_lesion, on_mark), strict=True))
        self.stored: dict[str, list[Variant]] = {}

    def measure(self, model: nn.Module, name: str) -> dict[str, object]:
        """Measures a network of a task.

        Returns:
            What was planted, by swapping lesion or mark in the rendering, estimates of reliance and mark, whether the
            network uses either, and the verdicts with maps on the lesion and on the mark.
        """
        labels = label_of(name, self.photographs.kinds, self.photographs.has_mark)
        data = dataset(self.photographs, labels)
        plain = MeasuredImages(
            pixels=self.pixels,
            expert_masks=self.masks,
            labels=labels[self.test],
            names=list(data.samples["id"][self.test]),
        )
        images = StoredVersions(plain, plan_marks(data, self.masks), self.stored)
        frame = predictions(model, images, self.pixels, labels[self.test])
        columns = {where: summarize(frame, masses, self.draws) for where, masses in self.masses.items()}
        lines = judge([model_row(where, each) for where, each in columns.items()], np.mean(self.masks))
        first = columns["on the lesion"]
        return self.planted(model) | {
            "accuracy": first[ACCURACY].value,
            RELIANCE: first[RELIANCE].value,
            MARK_EFFECT: first[MARK_EFFECT].value,
            "uses lesion": lines["on the lesion"].uses,
            "uses mark": judge_use([first[MARK_EFFECT]])[0],
            "verdicts": {where: line.verdict for where, line in lines.items()},
        }

    def planted(self, model: nn.Module) -> dict[str, float]:
        """Returns the mean change of the probability when the scene is rendered with the other lesion or mark."""
        original = predict(model, self.pixels)
        others = {"lesion": self.photographs.seen(other_kind=True), "mark": self.photographs.seen(other_mark=True)}
        return {
            f"planted {what}": float(np.abs(predict(model, pixels[self.test]) - original).mean())
            for what, pixels in others.items()
        }


def power_trial(seed: int, number=NUM_CASES, doses=DOSES, weights=WEIGHTS) -> dict[str, dict[str, object]]:
    """Trains networks that use the lesion, the mark, or what a dose leads to. Measures these and mixtures of them."""
    photographs = render(seed, number)
    plans = {"lesion": None, "mark": None} | {f"dose {dose:g}": dose for dose in doses}
    models = {name: train(*training_images(photographs, name, dose), seed) for name, dose in plans.items()}
    models["both"] = Both(models["mark"], models["lesion"]).eval()
    tasks = {name: name for name in (*TRUTH, *models)}
    for other, each in weights.items():
        for weight in each:
            name = f"lesion {weight:g}, else {other}"
            models[name] = Blend(models.get(other, Unsure()), models["lesion"], weight).eval()
            tasks[name] = {"nothing": "lesion"}.get(other, other)
    trial = Trial(photographs, seed)
    return {name: trial.measure(models[name], task) for name, task in tasks.items()}


def model_row(name: str, columns: dict[str, Estimate]) -> Row:
    return Row(name=name, regime="standard", title="standard", adversarial=False, seeds=(0,), estimates=columns)


def judge(rows: list[Row], mass: float):
    """Builds the fourfold table, with a constant map as the only one without a network. Returns its lines by name."""
    first = rows[0].estimates[LESION_MASS]
    constant = replace(first, value=mass, low=mass, high=mass)
    baseline = Row(
        name="constant 0.5", regime="", title="", adversarial=False, seeds=(), estimates={LESION_MASS: constant}
    )
    record = SimpleNamespace(classes=CLASSES, metrics={}, settings={"preset": {"attack_eps": [0.25]}})
    table = LeaderboardTable(record=record, method="made", positive="", rows=(*rows, baseline), problems=())
    return {line.row.name: line for line in build_fourfold(table).rows}


def null_images(seed: int) -> MeasuredImages:
    """Draws textures, and discs that are shuffled and moved at random, so that they mark nothing.

    Textures and moves are of a torus. Region and control then come from one distribution.
    """
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(NULL_IMAGES, SIDE, SIDE, 3))
    coarse = ndimage.gaussian_filter(noise, (0, 3, 3, 0), mode="wrap")
    pixels = 128 + 25 * noise + 40 * coarse / coarse.std()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    radii = rng.uniform(2, 4, NULL_IMAGES)
    discs = [(rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2 <= radius**2 for radius in rng.permutation(radii)]
    masks = np.array([np.roll(disc, rng.integers(0, SIDE, 2), (0, 1)) for disc in discs])
    return MeasuredImages(
        pixels=pixels.clip(0, 255).astype(np.uint8),
        expert_masks=masks,
        labels=rng.integers(0, 2, NULL_IMAGES),
        names=[f"{seed}-{index}" for index in range(NULL_IMAGES)],
    )


def null_trial(seed: int) -> dict[str, bool]:
    """Measures a network of random weights. Returns whether each interval leaves out 0, and whether it is a use."""
    images = null_images(seed)
    frame = predictions(sharp(network(seed), images), images, images.pixels, images.labels)
    columns = summarize(frame, np.full(len(images), 0.1), resampling(list(images.names)))
    found = {name: not columns[name].low <= 0 <= columns[name].high for name in NULL_COLUMNS}
    # As if the network beat chance, and without a negligible drop: the whole interval above 0 by every fill.
    return found | {"above 0 by every fill": all(columns[name].low > 0 for name in NULL_COLUMNS[1:])}


NULL_COLUMNS = (RELIANCE, *map(reliance_column, FILLS))


def sharp(model: nn.Sequential, images: MeasuredImages) -> nn.Module:
    """Scales the logits of a network, so that its answers differ over images and are neither sure nor all alike."""
    with torch.no_grad():
        logits = model(to_tensor(images.pixels))
        difference = logits[:, 1] - logits[:, 0]
        last = model[-1]
        last.weight /= difference.std()
        last.bias.copy_((last.bias - logits.mean(0)) / difference.std())
    return model.eval()


def share(count: int, trials: int) -> str:
    """Formats a number of trials with the 95 % interval of its fraction, by Wilson."""
    low, high = wilson(count / trials, trials)
    return f"{count} of {trials} [{low:.3f}, {high:.3f}]"


def power_table(trials: int) -> list[str]:
    """Runs trials of power. Returns the lines of two tables in Markdown: networks of known truth, and all others."""
    results = [power_trial(seed) for seed in progress(trials)]
    heads = ["network", "uses the lesion", "uses the mark", "verdicts right", "verdicts wrong"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [known_line(name, [result[name] for result in results]) for name in TRUTH]
    heads = ["network", "accuracy", *MEASURED, "uses the lesion: yes", "no", "uses the mark: yes", "no"]
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return lines + [effect_line(name, [result[name] for result in results]) for name in results[0]]


MEASURED = ("planted lesion", RELIANCE, "planted mark", MARK_EFFECT)


def known_line(name: str, results) -> str:
    """Formats how many networks of a task get the right answers, and how many of their maps the right verdict."""
    truth = dict(zip(("uses lesion", "uses mark"), TRUTH[name], strict=True))
    cells = [
        f"{answer}: {share(sum(result[what] == answer for result in results), len(results))}"
        for what, answer in truth.items()
    ]
    expected = {where: CELLS[TRUTH[name][0], shows] for where, shows in SHOWN.items()}
    verdicts = [(result["verdicts"][where], cell) for result in results for where, cell in expected.items()]
    right = sum(got == cell for got, cell in verdicts)
    wrong = sum(got not in {cell, UNDECIDED} for got, cell in verdicts)
    return f"| {name} | {' | '.join([*cells, share(right, len(verdicts)), share(wrong, len(verdicts))])} |"


def effect_line(name: str, results) -> str:
    """Formats what was planted in the networks of a task, what was measured, and the answers."""
    means = [f"{np.mean([result[what] for result in results]):.3f}" for what in ("accuracy", *MEASURED)]
    counts = [
        share(sum(result[what] == answer for result in results), len(results))
        for what in ("uses lesion", "uses mark")
        for answer in (YES, NO)
    ]
    return f"| {name} | {' | '.join([*means, *counts])} |"


def null_table(trials: int) -> list[str]:
    """Runs trials without reliance. Returns the lines of a table in Markdown."""
    counts = Counter(name for seed in progress(trials) for name, found in null_trial(seed).items() if found)
    lines = ["| found without any | trials |", "|---|---|"]
    return [
        *lines,
        *(f"| {name} | {share(counts[name], trials)} |" for name in (*NULL_COLUMNS, "above 0 by every fill")),
    ]


def progress(trials: int):
    for seed in range(trials):
        sys.stderr.write(f"\r{seed + 1} of {trials}")
        yield seed
    sys.stderr.write("\n")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--power", type=int, default=20, help="number of trials with four trained networks each")
    parser.add_argument("--null", type=int, default=200, help="number of networks of random weights")
    chosen = parser.parse_args(words)
    torch.set_num_threads(1)
    lines = (power_table(chosen.power) if chosen.power else []) + (null_table(chosen.null) if chosen.null else [])
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
