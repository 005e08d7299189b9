"""From a request to its jobs: the cells with their data, decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from benchmark.attacks.autoattack import recipe
from benchmark.config.presets import Preset
from benchmark.data.classes import match_classes
from benchmark.data.dataset import ImageDataset, prepare_dataset
from benchmark.data.load import Source, load_index, require_usable
from benchmark.errors import UserError
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.registry import select
from benchmark.runtime.device import keep_freed_memory, use_exact_arithmetic
from benchmark.runtime.progress import progress
from benchmark.storage.files import remove_leftovers
from benchmark.training.log import check_log
from benchmark.training.regimes import Regime


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """What was asked for.

    Attributes:
        preset: How to do it.
        source: The data.
        cells: What to train.
        device: Where.
        bfloat16: Whether to train in bfloat16.
        manifest: A split of another run to be used again; None makes one.
        pretraining: Data to train on first; None begins with the preset's weights.
        class_map: Table that matches the classes of the two data sets where their names differ.
        log: "tensorboard" writes how each training goes for TensorBoard; None does not.
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


def build_jobs(request: RunRequest, console: Console) -> list[Job]:
    """The cells with their data, decoded."""
    _check(request)
    use_exact_arithmetic()
    keep_freed_memory()
    remove_leftovers()
    with progress(console, "reading the data") as report:
        prepared = prepare_dataset(load_index(request.source), request.preset, manifest=request.manifest, report=report)
    for line in prepared.left_out[:5]:
        console.print(f"left out: {line}", highlight=False)
    if len(prepared.left_out) > 5:
        console.print(f"left out: {len(prepared.left_out) - 5} more; `data check` lists them", highlight=False)
    first = _first_stage(request, prepared, console)
    jobs = []
    for cell in request.cells:
        job = Job(
            cell=cell,
            data=prepared,
            preset=request.preset,
            device=request.device,
            log=request.log,
            bfloat16=request.bfloat16,
        )
        if cell.architecture.checkpoint is not None:  # it is evaluated as it is
            jobs.append(job)
            continue
        if first is not None:
            job = replace(job, init_job=replace(job, cell=_in_regime(cell, "standard"), data=first))
        if cell.regime.init_from is not None:
            job = replace(job, init_job=replace(job, cell=_in_regime(cell, cell.regime.init_from)))
        jobs.append(job)
    if any(cell.regime.needs_masks for cell in request.cells) and not (prepared.references["level"] == "image").any():
        raise UserError(f"{prepared.name} has no masks to learn from; leave out the regimes that need them")
    return jobs


def _check(request: RunRequest) -> None:
    """Refuses what would fail only after hours.

    Raises:
        UserError: An option asks for what is not there.
    """
    if request.log is not None:
        check_log(request.log)
    if request.preset.autoattack:
        try:
            recipe(2)
        except ValueError as error:
            raise UserError(f"--autoattack: {error}") from None


def _first_stage(request: RunRequest, data: ImageDataset, console: Console) -> ImageDataset | None:
    """The data to pre-train on, as much as the preset takes and nothing held out, under the class names of the data."""
    if request.pretraining is None:
        return None
    found = match_classes(require_usable(load_index(request.pretraining)), data.classes, request.class_map)
    with progress(console, "reading the data to pre-train on") as report:
        return prepare_dataset(found, replace(request.preset, test_folds=0), classes=data.classes, report=report)


def _in_regime(cell: Cell, name: str) -> Cell:
    return replace(cell, regime=select(Regime, [name])[0])
