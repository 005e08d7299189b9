"""Trials of reliance: networks that use what is known, and networks of random weights."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from torch import nn

from benchmark.data.dataset import ImageDataset
from benchmark.leaderboard.analysis.fourfold import NO, YES, build_fourfold, judge_use
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
from benchmark.statistics.resampling import Resampling, resampling
from tests.benchmark.reliance.paired_renderings import (
    CLASSES,
    NUM_CASES,
    SIDE,
    Photographs,
    label_of,
    render,
    training_images,
)
from tests.benchmark.reliance.trained_networks import LAYER, Blend, Both, Unsure, network, predict, sharp, train

DOSES = (0.0, 1.0)
"""Fractions of the training images with a yellow lesion that have the mark. No others have it."""
WEIGHTS = {"mark": (0.2, 0.35, 0.5), "nothing": (0.05, 0.1, 0.2)}
"""Weights of a network that uses the lesion, in a mean with one that uses the mark, or nothing."""
NULL_IMAGES = 40
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
