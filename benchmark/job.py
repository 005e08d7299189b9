"""A cell with all that decides its outcome, and the keys that stand for it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmark.checkpoint import weights_file
from benchmark.data.prepare import Prepared
from benchmark.device import bfloat16_pays
from benchmark.plan import Cell
from benchmark.presets import ENGINE_VERSION, Preset
from benchmark.registry import digest, entries, select
from benchmark.saliency import Method
from benchmark.store import content_key, file_digest, runs_folder
from benchmark.training.loop import Settings
from metrics import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A cell with all that decides its outcome.

    Attributes:
        cell: Architecture, regime and seed.
        data: What to train on and to score on.
        preset: How.
        device: Where.
        start: The job whose model the training begins with, such as that of the pre-training; None begins with the
            preset's weights.
    """

    cell: Cell
    data: Prepared
    preset: Preset
    device: torch.device
    start: "Job | None" = None

    @property
    def settings(self) -> Settings:
        """How the model is trained."""
        return Settings(
            epochs=self.preset.epochs or self.cell.architecture.short_epochs,
            batch=self.preset.batch,
            learning_rate=self.cell.architecture.learning_rate,
            bfloat16=bfloat16_pays(self.device),
            patience=self.preset.patience,
        )

    @property
    def pretraining(self) -> Prepared | None:
        """Other data that the first stage learns from; a stage on the same data is none."""
        first = self
        while first.start is not None:
            first = first.start
        return None if first.data.key == self.data.key else first.data

    @property
    def weights(self) -> str:
        """What the training begins with: random weights where nobody publishes any; or the hash of a checkpoint."""
        if self.cell.architecture.checkpoint is not None:
            return self.cell.architecture.checkpoint.sha256
        unpublished = self.preset.weights == "pretrained" and self.cell.architecture.pretrained is None
        return "random" if unpublished else self.preset.weights

    @property
    def model_key(self) -> str:
        """Stands for everything that decides the weights."""
        architecture, regime = self.cell.architecture, self.cell.regime
        weights = self.start.model_key if self.start else self.weights
        if not self.start and architecture.checkpoint is None and weights not in {"random", "pretrained"}:
            weights = file_digest(weights_file(architecture, weights))
        names = [architecture.name, digest(architecture), regime.name, digest(regime), self.cell.seed]
        return content_key(
            ENGINE_VERSION, self.data.key, names, asdict(self.settings), weights, self.preset.side, self.device.type
        )

    @property
    def metrics(self) -> list[Metric]:
        """What the maps are scored by: all metrics that are cheap, and the dear ones that the preset asks for."""
        asked = self.preset.metrics
        dear = [entry.name for entry in entries(Metric).values() if entry.on_request]
        chosen = set(dear if asked == ("all",) else [metric.name for metric in select(Metric, asked)])
        return [metric for metric in entries(Metric).values() if not metric.on_request or metric.name in chosen]

    @property
    def protocol(self) -> str:
        """Stands for how models are trained and scored, and on what: equal for the rows of one table."""
        preset = self.preset
        sizes = [preset.side, preset.perturbed, preset.perturbation_steps]
        attack = [preset.attacked, preset.attack_steps, preset.attack_eps, preset.apgd_steps, preset.map_attacked]
        methods = [digest(method) for method in select(Method, preset.methods)]
        scores = [digest(metric) for metric in self.metrics]
        training = [preset.weights, preset.epochs, preset.batch, preset.patience, self.device.type]
        if self.pretraining is not None:
            training.append(self.pretraining.key)
        return content_key(ENGINE_VERSION, self.data.key, training, sizes, attack, preset.methods, methods, scores)

    @property
    def key(self) -> str:
        """Stands for everything that decides the record."""
        return content_key(self.model_key, self.protocol)

    @property
    def folder(self) -> Path:
        """Where the outcome is kept: scores, predictions and record."""
        return runs_folder() / "cells" / self.key

    @property
    def done(self) -> bool:
        """Whether the outcome is there."""
        return self.folder.is_dir()
