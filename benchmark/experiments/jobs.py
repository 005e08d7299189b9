"""Builds the jobs of a request: the cells with their decoded data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from architectures import Architecture
from benchmark.attacks.autoattack import recipe
from benchmark.config.presets import Preset
from benchmark.data.classes import match_classes
from benchmark.data.dataset import ImageDataset, prepare_dataset
from benchmark.data.load import Source, load_index, require_usable
from benchmark.errors import UserError
from benchmark.experiments.grid import Cell
from benchmark.experiments.host import Host
from benchmark.experiments.job import Job
from benchmark.registry import is_external, select
from benchmark.runtime.device import retain_freed_memory, use_exact_arithmetic
from benchmark.runtime.progress import progress
from benchmark.saliency import Method
from benchmark.saliency.attention import find_transformer
from benchmark.saliency.target import find_target_layer
from benchmark.storage.files import remove_leftovers
from benchmark.training.log import check_log
from benchmark.training.regimes import Regime


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """The request of a run.

    Attributes:
        preset: Settings.
        source: The data set.
        cells: The cells to run.
        device: The device.
        bfloat16: Whether to train in bfloat16.
        manifest: A split of another run to use again. None creates one.
        pretraining: Data to train on first. None starts from the preset's weights.
        class_map: Table that maps the classes of the pre-training data to those of the data, if names differ.
        log: "tensorboard" writes training curves for TensorBoard. None writes none.
        entries: Directory of further entries. None without any.
        host: Where the networks run. None is this process.
    """

    preset: Preset
    source: Source
    cells: Sequence[Cell]
    device: torch.device
    bfloat16: bool
    manifest: Path | None = None
    pretraining: Source | None = None
    class_map: Path | None = None
    log: str | None = None
    entries: Path | None = None
    host: Host | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The options of the command that select data, split, entries and device."""
        values = {
            "--data": self.source.directory,
            "--layout": self.source.layout,
            "--image-dir": self.source.images,
            "--attributes": self.source.attributes,
            "--pseudonyms": self.source.pseudonyms,
            "--split": self.manifest,
            "--pretrain": self.pretraining.directory if self.pretraining else None,
            "--class-map": self.class_map,
            "--entries": self.entries,
            "--device": self.device.type,
        }
        if self.source.pseudonyms is not None:  # a path may name a person, as the name of a file does
            values = {option: Path(value).name for option, value in values.items() if value is not None}
        parts = [part for option, value in values.items() if value is not None for part in (option, str(value))]
        return (*parts, *(["--allow-split-groups"] if self.source.split_groups else []))


def build_jobs(request: RunRequest, console: Console) -> list[Job]:
    """Decodes the data and builds a job for each cell."""
    _check(request)
    use_exact_arithmetic()
    retain_freed_memory()
    remove_leftovers()
    with progress(console, "reading the data") as report:
        dataset = prepare_dataset(
            load_index(request.source),
            request.preset,
            manifest=request.manifest,
            split_groups=request.source.split_groups,
            report=report,
        )
    limit, used = request.preset.limit, len(dataset.samples)
    if request.manifest is None and limit is not None and used > limit:
        console.print(f"--limit {limit}: {used} images are used, the fewest that give every class its parts")
    _print_lines("note", dataset.notes, console)
    _print_lines("left out", dataset.left_out, console)
    _check_target_layers(request.cells, len(dataset.classes))
    for cell in request.cells:  # a missing grid is an error before the training
        find_target_layer(cell.architecture, request.preset.grid_stride, request.preset.image_size)
    pretraining_data = _load_pretraining_data(request, dataset, console)
    jobs = []
    for cell in request.cells:
        job = Job(
            cell=cell,
            data=dataset,
            preset=request.preset,
            device=request.device,
            log=request.log,
            options=request.options,
            bfloat16=request.bfloat16,
            host=request.host,
        )
        if cell.architecture.checkpoint is not None:  # evaluated without training
            jobs.append(job)
            continue
        if pretraining_data is not None:
            job = replace(job, init_job=replace(job, cell=_with_regime(cell, "standard"), data=pretraining_data))
        if cell.regime.init_from is not None:
            job = replace(job, init_job=replace(job, cell=_with_regime(cell, cell.regime.init_from)))
        jobs.append(job)
    if any(cell.regime.needs_masks for cell in request.cells) and not (dataset.references["level"] == "image").any():
        raise UserError(f"{dataset.name} has no masks to train on; leave out the regimes that need them")
    return jobs


def _print_lines(title: str, lines: Sequence[str], console: Console) -> None:
    """Prints the first lines of a kind."""
    for line in lines[:5]:
        console.print(f"{title}: {line}")
    if len(lines) > 5:
        console.print(f"{title}: {len(lines) - 5} more; `data check` lists them")


def _check(request: RunRequest) -> None:
    """Checks early what would otherwise fail after hours.

    Raises:
        UserError: An option needs something that is not available.
    """
    if request.log is not None:
        check_log(request.log)
    _check_attention(request)
    second_order = sorted({cell.regime.name for cell in request.cells if cell.regime.second_order})
    if request.preset.compile and second_order:
        raise UserError(
            f"--compile: torch cannot compile second derivatives, which {second_order[0]} needs; leave it out"
        )
    if request.preset.autoattack:
        try:
            recipe(2)
        except ValueError as error:
            raise UserError(f"--autoattack: {error}") from None


def _check_target_layers(cells: Sequence[Cell], num_classes: int) -> None:
    """Checks the saliency layer of each external network, which would otherwise fail after its training.

    Raises:
        UserError: The layer is missing or does not run exactly once.
    """
    for architecture in {cell.architecture.name: cell.architecture for cell in cells}.values():
        if is_external(architecture):
            num_runs = _count_runs(architecture, num_classes)
            if num_runs not in {None, 1}:
                raise UserError(
                    f"{architecture.name}: layer {architecture.target_layer!r} runs {num_runs} times in a forward "
                    "pass; name a layer that runs once"
                )


def _count_runs(architecture: Architecture, num_classes: int) -> int | None:
    """Counts how often the saliency layer runs. None if the network fails, which its cell reports."""
    runs: list[None] = []
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model = architecture.build(num_classes).eval()
            if architecture.target_layer not in dict(model.named_modules()):
                return 0
            model.get_submodule(architecture.target_layer).register_forward_hook(lambda *_: runs.append(None))
            model(torch.zeros(1, 3, 96, 96))
    except Exception:  # noqa: BLE001 - an entry may raise anything
        return None
    return len(runs)


def _check_attention(request: RunRequest) -> None:
    """Checks that methods that need attention find it in every architecture, built without weights."""
    names = [method.name for method in select(Method, request.preset.methods) if method.needs_attention]
    if not names:
        return
    for architecture in {cell.architecture.name: cell.architecture for cell in request.cells}.values():
        try:
            with torch.device("meta"):
                find_transformer(architecture.build(2), architecture.target_layer)
        except UserError as error:
            raise UserError(f"--method {names[0]}, architecture {architecture.name}: {error}") from None


def _load_pretraining_data(request: RunRequest, data: ImageDataset, console: Console) -> ImageDataset | None:
    """Loads the data to pre-train on, with the class names of the data and without a test set."""
    if request.pretraining is None:
        return None
    source = match_classes(require_usable(load_index(request.pretraining)), data.classes, request.class_map)
    with progress(console, "reading the data to pre-train on") as report:
        pretraining = prepare_dataset(
            source, replace(request.preset, test_folds=0), classes=data.classes, report=report
        )
    _print_lines("note", pretraining.notes, console)
    used = len(pretraining.samples)
    if used < len(source.samples):
        text = f"--limit: pre-training uses {used} of {len(source.samples)} images of {source.name}"
        _print_lines("note", [text], console)
    return pretraining


def _with_regime(cell: Cell, name: str) -> Cell:
    return replace(cell, regime=select(Regime, [name])[0])
