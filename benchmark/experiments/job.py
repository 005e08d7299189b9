"""A cell with everything that determines its results, and the hashes of it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from benchmark import reliance
from benchmark.config.presets import ENGINE_VERSION, PRESETS, Preset
from benchmark.data.dataset import ImageDataset
from benchmark.experiments.grid import Cell
from benchmark.experiments.host import Host
from benchmark.registry import select
from benchmark.runtime.device import prefers_bfloat16
from benchmark.saliency import Method
from benchmark.saliency.target import find_target_layer
from benchmark.scoring.selection import metric_identity, select_metrics
from benchmark.storage.cache import is_intact
from benchmark.storage.hashing import content_key, file_digest
from benchmark.storage.identity import identity
from benchmark.storage.record import load_record
from benchmark.storage.runs import cell_dir
from benchmark.training.checkpoint import weights_file
from benchmark.training.settings import Settings
from metrics import Metric

NO_SETTINGS = frozenset({"name", "purpose", "regimes", "seeds", "weights"})
"""Fields of a preset that select cells, describe it, or count by their content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A cell with everything that determines its results.

    Attributes:
        cell: Architecture, regime and seed.
        data: Images to train on and to score on.
        preset: Settings.
        device: The device.
        init_job: The job whose model initializes the training, such as that of the pre-training. None starts from
            the preset's weights.
        log: Type of training log. It does not affect the results.
        bfloat16: Whether to train in bfloat16. None follows the preference of this machine, which may not be the one
            that trains.
        weights_copy: A copy of the file of initial weights. None if the original is available.
        near_duplicates: Number of test images that look like training images. None if nobody looked.
        options: Options of the command that select data, split and device.
        host: Where the network runs. None is this process. It does not affect the results.
    """

    cell: Cell
    data: ImageDataset
    preset: Preset
    device: torch.device
    init_job: "Job | None" = None
    log: str | None = None
    bfloat16: bool | None = None
    weights_copy: Path | None = None
    near_duplicates: int | None = None
    options: tuple[str, ...] = ()
    host: Host | None = None

    @property
    def settings(self) -> Settings:
        """The settings of the training."""
        return Settings(
            epochs=self.preset.epochs or self.cell.architecture.quick_epochs,
            batch_size=self.preset.batch_size,
            learning_rate=self.cell.architecture.learning_rate,
            bfloat16=prefers_bfloat16(self.device) if self.bfloat16 is None else self.bfloat16,
            patience=self.preset.patience,
            small_size=self.preset.small_size,
            full_size_epochs=self.preset.full_size_epochs,
            compile=self.preset.compile,
        )

    @property
    def pretraining(self) -> ImageDataset | None:
        """The data of the first stage. None if it is the same data."""
        first = self.stages[-1].data
        return None if first.key == self.data.key else first

    @property
    def weights(self) -> str:
        """The initial weights, or the hash of a checkpoint. "random" if no published weights exist."""
        if self.cell.architecture.checkpoint is not None:
            return self.cell.architecture.checkpoint.sha256
        unpublished = self.preset.weights == "pretrained" and self.cell.architecture.pretrained is None
        return "random" if unpublished else self.preset.weights

    @property
    def weights_path(self) -> Path | None:
        """The file of initial weights, if there is one."""
        if self.cell.architecture.checkpoint is not None or self.weights in {"random", "pretrained"}:
            return None
        return self.weights_copy or weights_file(self.cell.architecture, self.weights)

    @property
    def model_key(self) -> str:
        """Hash of everything that determines the weights."""
        architecture, regime = self.cell.architecture, self.cell.regime
        weights = self.init_job.model_key if self.init_job else self.weights
        if not self.init_job and self.weights_path is not None:
            weights = file_digest(self.weights_path)
        names = [architecture.name, identity(architecture), regime.name, identity(regime), self.cell.seed]
        sizes = [self.preset.image_size, self.device.type]
        return content_key(ENGINE_VERSION, self.data.key, names, _settings_for_key(self.settings), weights, *sizes)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of the maps: all standard ones, and the expensive ones of the preset."""
        return select_metrics(self.preset.metrics)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.preset.image_size, self.preset.image_size

    @property
    def attacks(self) -> list[object]:
        """The settings of the attacks on predictions and maps."""
        preset = self.preset
        steps = [preset.attack_steps, preset.apgd_steps, preset.autoattack]
        settings = [preset.num_attacked, steps, preset.attack_eps, preset.num_map_attacked, preset.alignment]
        return settings + self.grid_settings

    @property
    def grid_settings(self) -> list[object]:
        """The stride of the grid for keys. Empty for the default, so that keys from before this setting stay valid."""
        return [] if self.preset.grid_stride is None else [self.preset.grid_stride]

    @property
    def target_layer(self) -> str:
        """Dotted name of the layer that CAM methods read."""
        return find_target_layer(self.cell.architecture, self.preset.grid_stride, self.preset.image_size)

    @property
    def protocol(self) -> str:
        """Hash of the data and of the settings of training and scoring. Equal for the rows of one table.

        A labeled variant joins the table of its preset: it counts the preset's training settings, not its own.
        """
        preset = self.preset
        sizes = [preset.image_size, preset.num_perturbed, preset.perturbation_steps, preset.alignment]
        methods = [identity(method) for method in select(Method, preset.methods)]
        scores = [metric_identity(metric) for metric in self.metrics]
        base = PRESETS.get(preset.name, preset) if self.cell.variant else preset
        training = [base.weights, base.epochs, base.batch_size, base.patience, self.device.type]
        if base.small_size is not None:
            training += [base.small_size, base.full_size_epochs]
        if self.pretraining is not None and not self.cell.variant:
            training.append(self.pretraining.key)
        return content_key(
            ENGINE_VERSION,
            self.data.key,
            training,
            sizes,
            self.attacks,
            preset.methods,
            methods,
            scores,
            ["reliance", reliance.VERSION],
        )

    @property
    def key(self) -> str:
        """Hash of everything that determines the record."""
        variant = [self.cell.variant] if self.cell.variant else []
        return content_key(self.model_key, self.protocol, *variant)

    @property
    def identity(self) -> str:
        """Hash of data and settings, in the name of the record's file. Changed code does not change it.

        Settings with their default value are left out, so that a new setting does not change existing names.
        """
        preset = {
            field.name: value
            for field in fields(Preset)
            if field.name not in NO_SETTINGS and (value := getattr(self.preset, field.name)) != field.default
        }
        data = [stage.data.key for stage in self.stages]
        weights = self.preset.weights if self.weights_path is None else file_digest(self.weights_path)
        training = [_settings_for_key(self.settings), weights, self.device.type]
        return content_key(data, training, preset, self.cell.variant)[:8]

    @property
    def stages(self) -> "list[Job]":
        """The job and those whose models initialize it, the last training first."""
        return [self, *(self.init_job.stages if self.init_job else ())]

    @property
    def directory(self) -> Path:
        """The directory of scores, predictions and record."""
        return cell_dir(self.key)

    @property
    def done(self) -> bool:
        """Whether the results exist. Damaged ones are removed."""
        return is_intact(self.directory, lambda directory: _is_cell(directory, self.key))


def _is_cell(directory: Path, key: str) -> bool:
    """Whether the files of a cell of an earlier version are those that its record names.

    Raises:
        ValueError: Its record is damaged.
    """
    record = load_record(directory / "record.json")
    return record.key == key and all(file_digest(directory / name) == digest for name, digest in record.files.items())


def _settings_for_key(settings: Settings) -> dict[str, Any]:
    """Returns training settings by the original names of the fields, so that a renamed field does not change keys."""
    content = {
        "epochs": settings.epochs,
        "batch": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "bfloat16": settings.bfloat16,
        "patience": settings.patience,
        "clip": settings.clip,
    }
    # Without these, the key equals that of models from before the settings existed.
    if settings.small_size is not None:
        content |= {"small_size": settings.small_size, "full_size_epochs": settings.full_size_epochs}
    return content if settings.compile is None else content | {"compile": settings.compile}
