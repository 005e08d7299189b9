"""The judge's side of a box: trains the network of an entry there, and talks with it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import safetensors
import torch
from torch import nn

from architectures import Architecture
from architectures.geometry import Axis, Geometry
from benchmark.config.presets import EFFECTIVE, Preset
from benchmark.errors import UserError
from benchmark.experiments.job import Job
from benchmark.registry import select
from benchmark.saliency import Method
from benchmark.saliency.alignment import GeometryResult, load_geometry
from benchmark.scoring.selection import select_metrics
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Training
from benchmark.submission.entries import EntryFacts, known_entry, own_files, validate_fields
from benchmark.submission.judge.connection import connect
from benchmark.submission.judge.network import RemoteNetwork
from benchmark.submission.judge.tasks import save_part
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import GIGABYTE, Limits
from benchmark.submission.sandbox.replies import Description, Positions, TrainingHistory

INNER = frozenset({"guided-backprop", "parameter-randomization"})
"""What changes the inside of a network."""
MAX_WEIGHTS = 16 * GIGABYTE


@dataclass(kw_only=True)
class BoxHost:
    """Trains and runs the networks of an entry in boxes, one at a time.

    Attributes:
        entry: The entry file.
        worker: Runs its code.
        limits: Limits of each box.
        unconfined: Whether it runs without a box, since the user trusts it.
        echo: Whether what it prints is shown at once.
    """

    entry: Path
    worker: Worker
    limits: Limits
    unconfined: bool = False
    echo: bool = True
    _service: ExitStack = field(default_factory=ExitStack)

    def train(self, job: Job, start: Path | None, target: Path, report: Callable[[str, float], None]) -> Training:
        """Trains the network of a job in a box. Only training and validation images are there."""
        self.close()
        report("train in a box", 0.0)
        weights = job.weights_path
        with tempfile.TemporaryDirectory(prefix="loupe-training-") as name:
            directory = Path(name)
            for part in ("train", "validation"):
                rows = job.data.rows(part)
                masks = job.data.masks(rows) if job.cell.regime.needs_masks else None
                labels = job.data.samples["label"].to_numpy()[rows]
                save_part(directory, part, images=job.data.images[rows], labels=labels, masks=masks)
            arguments = {
                "entry": str(self.entry),
                "directory": str(directory),
                "classes": len(job.data.classes),
                "regime": job.cell.regime.name,
                "seed": job.cell.seed,
                "settings": asdict(job.settings),
                "weights": str(weights or job.weights),
                "start": str(start) if start else None,
                "device": str(job.device),
            }
            read = [*own_files(self.entry), *(path for path in (start, weights) if path)]
            outcome = self.worker.run(
                "train_network",
                arguments,
                self.limits,
                TrainingHistory,
                readable=read,
                writable=[directory],
                echo=self.echo,
            )
            if outcome.result is None:
                raise UserError(outcome.error)
            _take_weights(directory / "model.safetensors", target)
        return Training(sha256=file_digest(target), **outcome.result.model_dump())

    @contextmanager
    def known_architecture(self, name: str | None, device: torch.device) -> Iterator[Architecture]:
        """Registers the architecture of the entry during the block, by the metadata that a box reads from it.

        Args:
            name: The name that it must have. None accepts any.
            device: Where its network runs.

        Raises:
            UserError: The box failed, or the metadata are invalid or of another name.
        """
        outcome = self.worker.run(
            "describe_entry", {"entry": str(self.entry)}, self.limits, Description, readable=own_files(self.entry)
        )
        if outcome.result is None:
            raise UserError(outcome.error)
        metadata = outcome.result.metadata
        facts = validate_fields(lambda: EntryFacts.model_validate(metadata))
        if name is not None and facts.name != name:
            raise UserError(f"{self.entry.name} has the network {facts.name}, not {name}")
        build = partial(self.build, facts.target_layer, device)
        with known_entry(self.entry, facts, build, pretrained=outcome.result.pretrained) as architecture:
            try:
                yield architecture
            finally:
                self.close()

    def load(self, job: Job, weights: Path) -> nn.Module:
        """Starts a box with a trained network and connects to it. An earlier one ends."""
        architecture = job.cell.architecture
        load_geometry(architecture, job.size, compute=partial(self._measure, job.size))
        checkpoint = architecture.checkpoint
        classes = len(checkpoint.classes if checkpoint else job.data.classes)
        return self.serve(architecture.target_layer, classes, job.device, weights, whole=checkpoint is not None)

    def build(self, layer: str, device: torch.device, classes: int) -> nn.Module:
        """Starts a box with an untrained network and connects to it. An earlier one ends."""
        return self.serve(layer, classes, device, None, whole=False)

    def serve(
        self, layer: str, classes: int, device: torch.device, weights: Path | None, *, whole: bool
    ) -> RemoteNetwork:
        """Starts a box with the network of the entry and connects to it. An earlier one ends.

        Args:
            layer: Name of its target layer.
            classes: Number of its logits.
            device: Where it runs.
            weights: A safetensors file. None leaves it untrained.
            whole: Whether published weights must include their classifier.

        Raises:
            UserError: The box failed, or the weights do not fit.
        """
        self.close()
        arguments = {
            "entry": str(self.entry),
            "weights": str(weights) if weights else None,
            "classes": classes,
            "device": str(device),
            "whole": whole,
        }
        read = [*own_files(self.entry), *([weights] if weights else [])]
        connection = connect(self.worker, "serve_network", arguments, self.limits, read, echo=self.echo)
        channel, find_reason = self._service.enter_context(connection)
        return RemoteNetwork(channel, layer, classes, find_reason)

    def close(self) -> None:
        """Ends the box of the loaded network."""
        self._service.close()

    def _measure(self, size: Sequence[int]) -> GeometryResult:
        """Asks a box for the grid. It is the word of the entry."""
        self.close()  # the worker runs one box at a time
        arguments = {"entry": str(self.entry), "size": list(size)}
        read = own_files(self.entry)
        outcome = self.worker.run("measure_geometry", arguments, self.limits, Positions, readable=read)
        if outcome.result is None:
            raise UserError(outcome.error)
        found = outcome.result.geometry
        if found is None:
            return GeometryResult(geometry=None, reason=outcome.result.reason or "unknown")
        rows, columns = (Axis(**axis.model_dump()) for axis in (found.rows, found.columns))
        return GeometryResult(geometry=Geometry(rows=rows, columns=columns))


def _take_weights(source: Path, target: Path) -> None:
    """Copies the weights that a box has written, if they are a safetensors file of a reasonable size."""
    if source.is_symlink() or not source.is_file() or source.stat().st_size > MAX_WEIGHTS:
        raise UserError("the box wrote no weights; does the entry change how files are written?")
    try:
        with safetensors.safe_open(source, framework="pt"):
            shutil.copyfile(source, target)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"the box wrote weights that cannot be read ({error})") from None


def refuse_inner_methods(preset: Preset) -> None:
    """Refuses settings that need the inside of a network.

    Raises:
        UserError: The settings have one. The message names it.
    """
    methods = select(Method, preset.methods)
    names = [method.name for method in methods if method.needs_attention or method.name in INNER]
    names += [metric.name for metric in select_metrics(preset.metrics) if metric.name in INNER]
    names += [f"--alignment {EFFECTIVE}"] if preset.alignment == EFFECTIVE else []
    names += ["--grid-stride"] if preset.grid_stride is not None else []
    if names:
        raise UserError(f"{names[0]} needs the inside of the network, which runs in a box; leave it out")
