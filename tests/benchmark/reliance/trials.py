"""Trials of known truth: how often reliance finds what a network was trained to use, and how often it finds nothing.

    python -m tests.benchmark.reliance.trials [--power 20] [--null 200]

prints both tables. They take about eight minutes of one core. The tests run a small part of them.
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
from benchmark.leaderboard.reliance_columns import LESION_MASS, MARK_EFFECT, RELIANCE, RELIANCE_COLUMNS, reliance_column
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.reliance.fills import FILLS
from benchmark.reliance.marks import Marks, plan_marks
from benchmark.reliance.measure import MeasuredImages, measure_reliance
from benchmark.reliance.variants import Variant
from benchmark.statistics.bootstrap import Estimate, estimates
from benchmark.statistics.proportions import wilson
from benchmark.statistics.resampling import Resampling, resampling
from datasets.dermsynth.plan import SHORTCUT, Case, cases
from datasets.dermsynth.scene import Scene, photograph

SIDE = 32
LAYER = "5"
DIAGNOSES = ("Acne", "Viral warts")
"""Those with the smallest lesions, which leave most room for controls outside the mark."""
NUM_CASES = 720
"""Of all six diagnoses: 240 are of the two, of which a third are test images."""
EPOCHS = 50
NULL_IMAGES = 40
CPU = torch.device("cpu")
TRUTH = {"dose 0": (YES, NO), "mark": (NO, YES), "both": (YES, YES), "dose 1": ("", YES)}
"""Whether each network uses the lesion and the mark. At dose 1 the mark is enough, and the lesion is not excluded."""
COLUMNS_OF_TRIALS = (*(column for column in COLUMNS if column.name == ACCURACY), *RELIANCE_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Cases of two diagnoses, rendered with the mark and without it."""

    cases: list[Case]
    plain: list[Scene]
    marked: list[Scene]

    @property
    def diagnoses(self):
        """Index of each diagnosis, (N,)."""
        return np.array([DIAGNOSES.index(case.diagnosis) for case in self.cases])

    @property
    def masks(self):
        """What any characteristic covers, (N, S, S)."""
        return np.array([np.any(list(scene.truth.values()), axis=0) for scene in self.plain])

    @property
    def test(self):
        """Which are test images, (N,). No patient is in both parts."""
        return np.array([case.split == "test" for case in self.cases])


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a network is trained on: a label for each image, and whether it has the mark."""

    labels: np.ndarray
    has_mark: np.ndarray


class StoredVersions:
    """Images with versions that are built once. Those of one trial differ in the planned marks alone."""

    def __init__(self, images: MeasuredImages, marks: Marks | None, stored: dict[tuple[str, bytes], list[Variant]]):
        self.images, self.marks, self.stored = images, marks, stored
        self.expert_masks, self.labels = images.expert_masks, images.labels

    def __len__(self) -> int:
        return len(self.images)

    def variants(self, index: int) -> list[Variant]:
        key = self.images.names[index], self.images.pixels[index].tobytes()
        if key not in self.stored:
            self.stored[key] = self.images.variants(index)
        changed = self.marks.variants[index] if self.marks else None
        return self.stored[key] + ([changed] if changed else [])


def render(seed: int) -> Photographs:
    """Renders the cases of a trial. No other seed has any of them."""
    planned = cases(NUM_CASES, seed=seed, train_fraction=0.65)
    chosen = [case for case in planned if case.diagnosis in DIAGNOSES]
    with_mark, without = (
        [photograph(replace(case, marked=marked), SIDE, "sticker") for case in chosen] for marked in (True, False)
    )
    return Photographs(cases=chosen, plain=without, marked=with_mark)


def tasks(photographs: Photographs) -> dict[str, Task]:
    """Plans the training of each network.

    Every second image of each diagnosis has the mark where it should say nothing about the diagnosis. That is so for
    all test images. "mark" learns whether there is one, "both" whether there is one on an image of the second
    diagnosis. The others learn the diagnosis: without marks, or with one on each image of the second.
    """
    diagnosis, test = photographs.diagnoses, photographs.test
    random = np.zeros(len(diagnosis), dtype=bool)
    for group in (test, ~test):
        for label in (0, 1):
            random[np.flatnonzero(group & (diagnosis == label))[::2]] = True
    return {
        "mark": Task(labels=random.astype(int), has_mark=random),
        "both": Task(labels=((diagnosis == 1) & random).astype(int), has_mark=random),
        "dose 0": Task(labels=diagnosis, has_mark=random & test),
        "dose 1": Task(labels=diagnosis, has_mark=np.where(test, random, diagnosis == 1)),
    }


def to_tensor(pixels):
    return torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255


def network(seed: int) -> nn.Sequential:
    """Builds a network of random weights: three convolutions, and a maximum over positions."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 24, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(4), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, 2)),
    )


def train(pixels, labels, seed: int) -> nn.Module:
    """Trains a network, with mirrored images, until it knows the labels well."""
    model = network(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images, target = to_tensor(pixels), torch.tensor(labels)
    weights = 1 / torch.bincount(target).float()
    generator = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(32):
            flipped = images[batch].flip(3) if torch.rand(1, generator=generator) < 0.5 else images[batch]
            loss = cross_entropy(model(flipped), target[batch], weight=weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def dataset(photographs: Photographs, task: Task, pixels) -> ImageDataset:
    """Wraps the images of a task, so that marks can be planned. Marks of training images are those of label 1."""
    test = photographs.test
    marked = np.flatnonzero(task.has_mark & (test | (task.labels == 1)))
    samples = {
        "id": [case.stem for case in photographs.cases],
        "label": task.labels,
        "split": np.where(test, "test", "train"),
    }
    return ImageDataset(
        name="made",
        key="made",
        synthetic=True,
        # Where no training image is marked, the name of a class says which one a mark would indicate.
        classes=("other", SHORTCUT),
        available=len(test),
        left_out=(),
        manifest=Path("none"),
        images=pixels,
        samples=pd.DataFrame(samples),
        mask_arrays=np.array([photographs.marked[index].mark for index in marked]) * np.uint8(255),
        references=pd.DataFrame({"sample": marked, "level": "shortcut", "rater": "", "characteristic": ""}),
    )


def predictions(model: nn.Module, images, pixels, labels) -> pd.DataFrame:
    """Predicts the test images and measures the reliance on their regions."""
    with torch.no_grad():
        predicted = model(to_tensor(pixels)).argmax(1).numpy()
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
        classes=DIAGNOSES,
        scores={MASS: section},
        method="made",
        predictions=frame,
    )
    found = {column.name: [made] for column in COLUMNS_OF_TRIALS if (made := column.statistic(row)) is not None}
    bounds = {column.name: column.bounds for column in COLUMNS_OF_TRIALS}
    return estimates(found, draws, row="made", bounds=bounds)


def power_trial(seed: int, names=tuple(TRUTH)) -> dict[str, dict[str, object]]:
    """Trains a network for each task, and judges it with maps on the lesion and with maps on the mark.

    Returns:
        By task: accuracy, estimates of reliance and mark, whether it uses either, and the verdicts of both maps.
    """
    photographs = render(seed)
    test, masks = photographs.test, photographs.masks[photographs.test]
    patients = [case.patient.name for case, is_test in zip(photographs.cases, test, strict=True) if is_test]
    draws = resampling(patients)
    rng = np.random.default_rng(seed)
    shown = {"on the lesion": 0.8 + 0.1 * rng.random(len(masks)), "on the mark": 0.01 * rng.random(len(masks))}
    stored: dict[tuple[str, bytes], list[Variant]] = {}
    rows, results = [], {}
    for name, task in tasks(photographs).items():
        if name not in names:
            continue
        scenes = [
            (b if has else a) for a, b, has in zip(photographs.plain, photographs.marked, task.has_mark, strict=True)
        ]
        pixels = np.array([scene.image for scene in scenes])
        model = train(pixels[~test], task.labels[~test], seed)
        data = dataset(photographs, task, pixels)
        plain = MeasuredImages(
            pixels=pixels[test], expert_masks=masks, labels=task.labels[test], names=list(data.samples["id"][test])
        )
        images = StoredVersions(plain, plan_marks(data, masks), stored)
        frame = predictions(model, images, pixels[test], task.labels[test])
        for where, masses in shown.items():
            columns = summarize(frame, masses, draws)
            rows.append(model_row(f"{name}, map {where}", columns))
        results[name] = {
            "accuracy": columns[ACCURACY],
            RELIANCE: columns[RELIANCE],
            MARK_EFFECT: columns[MARK_EFFECT],
            "mark": judge_use([columns[MARK_EFFECT]])[0],
        }
    verdicts = judge(rows, np.mean(masks))
    for name, result in results.items():
        lines = [verdicts[f"{name}, map {where}"] for where in shown]
        result |= {"lesion": lines[0].uses, "verdicts": tuple(line.verdict for line in lines)}
    return results


def model_row(name: str, columns: dict[str, Estimate]) -> Row:
    return Row(name=name, regime="standard", title="standard", adversarial=False, seeds=(0,), estimates=columns)


def judge(rows: list[Row], mass: float):
    """Builds the fourfold table, with a constant map as the only one without a network. Returns its lines by name."""
    first = rows[0].estimates[LESION_MASS]
    constant = replace(first, value=mass, low=mass, high=mass)
    baseline = Row(
        name="constant 0.5", regime="", title="", adversarial=False, seeds=(), estimates={LESION_MASS: constant}
    )
    record = SimpleNamespace(classes=DIAGNOSES, metrics={}, settings={"preset": {"attack_eps": [0.25]}})
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
    """Runs trials of power. Returns the lines of a table in Markdown."""
    results = [power_trial(seed) for seed in progress(trials)]
    lines = [
        "| network | accuracy | uses the lesion | uses the mark | verdicts right | verdicts wrong | reliance | mark |"
    ]
    lines.append("|---" * 8 + "|")
    for name, (lesion, mark) in TRUTH.items():
        of_task = [result[name] for result in results]
        means = [np.mean([each[column].value for each in of_task]) for column in ("accuracy", RELIANCE, MARK_EFFECT)]
        uses = [Counter(str(each[what]) for each in of_task) for what in ("lesion", "mark")]
        expected = tuple(CELLS.get((lesion, shows), UNDECIDED) for shows in (YES, NO))
        verdicts = [pair for each in of_task for pair in zip(each["verdicts"], expected, strict=True)]
        right = sum(got == truth for got, truth in verdicts)
        wrong = sum(got not in {truth, UNDECIDED} for got, truth in verdicts)
        known = [share(number, 2 * trials) for number in (right, wrong)] if lesion else ["", ""]
        counts = [
            f"{share(count[answer], trials)} {answer}"
            for count, answer in zip(uses, (lesion or YES, mark), strict=True)
        ]
        lines.append(f"| {name} | {means[0]:.3f} | {' | '.join([*counts, *known])} | {means[1]:.3f} | {means[2]:.3f} |")
        lines.append(f"<!-- {name}: lesion {dict(uses[0])}, mark {dict(uses[1])} -->")
    return lines


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
