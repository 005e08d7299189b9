"""The work of each stage of a cell: forward passes of one image, times its pixels."""

import math
from dataclasses import dataclass

from benchmark.config.presets import Preset
from benchmark.experiments.job import Job
from benchmark.reliance.variants import MAX_VARIANTS
from benchmark.storage.record import Record
from benchmark.training.regimes import Regime

TRAIN, DIAGNOSE, EXPLAIN = "train", "diagnose", "explain and score"
"""The stages of a cell, by their names in a record."""
UPDATE_PASSES = 2
"""Passes of a training step beyond the loss: the gradient of the weights. The cost of a regime includes them."""
ATTACK_PASSES = 2
"""Passes of a step of an attack: the output, and the gradient of the image."""
MAP_ATTACK_PASSES = 6
"""Passes of a step of an attack on a map, which needs the gradient of a gradient."""
AUTOATTACK_PASSES = 2 * 100 + 2 * 9 * 2 * 100 + 5000
"""Passes of AutoAttack for one image: APGD, two attacks on nine targets each, all of 100 steps, and 5,000 queries."""
MAP_PASSES = 2
"""Passes of a map by one gradient. Methods that need more take longer than estimated."""
NUM_LOSSES = 2
"""Losses that PGD and APGD maximize in turn."""
NUM_MAP_ATTACKS = 4
"""Attacks on a map that preserve the prediction. A fifth one is an attack on the prediction."""
NUM_CURVES = 6
"""Perturbation curves of a map: insertion and deletion by three fills."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """What the stages of a cell have to compute, apart from its architecture.

    Attributes:
        preset: The settings.
        cost: Forward-equivalents per image and step of the regime. A standard step has 3.
        replays: Number of consecutive steps on each batch.
        epochs: Number of passes over the training images. Replays do not count.
        images: Numbers of images: train, validation, test, perturbed and attacked.
    """

    preset: Preset
    cost: float
    replays: int
    epochs: int
    images: dict[str, int]

    def stages(self) -> dict[str, float]:
        """Computes the work of each stage."""
        scoring = {DIAGNOSE: self._diagnosis_passes(), EXPLAIN: self._explanation_passes()}
        pixels = self.preset.image_size**2
        return {TRAIN: self._training_work(), **{name: passes * pixels for name, passes in scoring.items()}}

    def _training_work(self) -> float:
        """Sums the epochs at each size: steps, validation, and the final pass for the statistics of BatchNorm."""
        train, preset = self.images["train"], self.preset
        passes = train * self.cost * self.replays + self.images["validation"] * max(self.cost - UPDATE_PASSES, 1.0)
        full = self.epochs
        if preset.small_size is not None:
            full = min(full, math.ceil(preset.full_size_epochs / self.replays))
        small = (self.epochs - full) * (preset.small_size or 0) ** 2
        return passes * small + (passes * full + train) * preset.image_size**2

    def _diagnosis_passes(self) -> float:
        """Sums the predictions, the attacks on them and on maps, and the versions that reliance is measured on."""
        preset, test = self.preset, self.images["test"]
        # Each attack checks its result, and whether the gradient vanishes.
        steps = preset.attack_steps + 1 + (preset.apgd_steps + 1 if preset.apgd_steps else 0)
        per_budget = NUM_LOSSES * ATTACK_PASSES * steps + AUTOATTACK_PASSES * preset.autoattack
        attacked = self.images["attacked"] * len(preset.attack_eps) * per_budget
        per_step = NUM_MAP_ATTACKS * MAP_ATTACK_PASSES + ATTACK_PASSES
        map_attacked = min(preset.num_map_attacked, test) * preset.attack_steps * per_step
        return test * (1 + MAX_VARIANTS) + attacked + map_attacked

    def _explanation_passes(self) -> float:
        """Sums the maps and their perturbation curves. Scores of a map alone take little time."""
        curves = self.images["perturbed"] * NUM_CURVES * (self.preset.perturbation_steps + 1)
        return len(self.preset.methods) * (self.images["test"] * MAP_PASSES + curves)


def job_workload(job: Job) -> Workload:
    """Returns the work of a job whose stages are all missing."""
    preset, regime, test = job.preset, job.cell.regime, len(job.data.test)
    return Workload(
        preset=preset,
        cost=regime.cost,
        replays=regime.batch_replays,
        epochs=math.ceil(job.settings.epochs / regime.batch_replays),
        images={
            "train": len(job.data.train),
            "validation": len(job.data.rows("validation")),
            "test": test,
            "perturbed": _at_most(preset.num_perturbed, test),
            "attacked": _at_most(preset.num_attacked, test),
        },
    )


def record_workload(record: Record, preset: Preset, regime: Regime | None) -> Workload:
    """Returns the work that a record is of.

    Args:
        record: The record.
        preset: Its settings.
        regime: Its regime as it is today. None counts as standard training.

    Raises:
        KeyError: It lacks a number of images.
    """
    names = ("train", "validation", "test", "perturbed", "attacked")
    return Workload(
        preset=preset,
        cost=regime.cost if regime else 3.0,
        replays=regime.batch_replays if regime else 1,
        epochs=len(record.training.losses),
        images={name: record.images[name] for name in names},
    )


def _at_most(limit: int | None, num_images: int) -> int:
    return num_images if limit is None else min(limit, num_images)
