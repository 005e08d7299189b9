"""Estimates of time and disk space of a run, from the records of earlier cells."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmark.config.presets import QUICK
from benchmark.experiments.job import Job
from benchmark.registry import entries
from benchmark.storage.paths import ROOT
from benchmark.storage.record import Record, load_record
from benchmark.storage.results import RECORDS, all_record_files
from benchmark.storage.runs import cell_records, model_dir
from benchmark.training.regimes import Regime

WEIGHT_BYTES = 4
MAP_BYTES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Time and disk space of the unfinished cells of a run.

    Attributes:
        seconds: Time of the cells with an estimate. Stages that several cells share count once.
        bytes: Size of their models and maps under `runs/`.
        unknown: Cells of architectures without a record on this type of device.
    """

    seconds: float
    bytes: int
    unknown: tuple[str, ...]


def forecast(jobs: Sequence[Job]) -> Forecast:
    """Estimates time and disk space of the unfinished cells.

    Training time is proportional to images, epochs, pixels and the regime's forward-equivalents. Other time is
    proportional to test images and pixels. Both start from a record of the architecture on the same type of device.
    The estimate is within a factor of about two, since attacks and batch sizes scale differently.
    """
    references = _load_references([*all_record_files(), *cell_records()])
    seconds, size, unknown = 0.0, 0, []
    stages: dict[str, Job] = {}
    for job in jobs:
        if job.done:
            continue
        record = references.get((job.cell.architecture.name, job.device.type))
        if record is None:
            unknown.append(job.cell.name)
            continue
        stages |= _untrained_stages(job)
        test, pixels = len(job.data.test), job.preset.image_size**2
        seconds += _scoring_seconds(job, record)
        size += record.parameters * WEIGHT_BYTES + len(job.preset.methods) * test * pixels * MAP_BYTES
    for stage in stages.values():
        seconds += _training_seconds(stage, references[stage.cell.architecture.name, stage.device.type])
    return Forecast(seconds=seconds, bytes=size, unknown=tuple(unknown))


def order_by_cost(jobs: Sequence[Job]) -> list[Job]:
    """Orders cells by their estimated time, the shortest first, so that a run shows results early.

    Records of the jobs' own table do not count, so the order of a run that continues is that of the first start. The
    quick runs of the checkout count first, since times of one machine compare. Cells without an estimate come last.
    Cells of equal time stay in their order, and a cell follows the one whose model initializes it.
    """
    if len(jobs) < 2:
        return list(jobs)
    protocol = jobs[0].protocol
    quick = {*(ROOT / "results").glob(f"*/{QUICK.name}/{RECORDS}/[!.]*.json")}
    others = {*all_record_files(), *cell_records()} - quick
    references = _load_references(others, protocol) | _load_references(quick, protocol)
    return sorted(jobs, key=partial(_cell_seconds, references=references))


def _cell_seconds(job: Job, references: Mapping[tuple[str, str], Record]) -> float:
    """Estimates the time of a cell with its missing trainings. Infinite without an estimate."""
    name = job.cell.architecture.name
    record = references.get((name, job.device.type)) or references.get((name, "cpu"))
    if record is None:
        return math.inf
    trainings = [_training_seconds(stage, record) for stage in _untrained_stages(job).values()]
    seconds = _scoring_seconds(job, record) + sum(trainings)
    return math.inf if math.isnan(seconds) else seconds


def _load_references(paths: Iterable[Path], left_out: str = "") -> dict[tuple[str, str], Record]:
    """Loads the record of the longest training per architecture and type of device: start-up matters least there.

    Args:
        paths: The records.
        left_out: Protocol of records that do not count.
    """
    longest: dict[tuple[str, str], Record] = {}
    for path in sorted(paths):
        try:
            record = load_record(path)
            _ = record.seconds["train"], record.images["test"], record.images["train"], _image_size(record)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged, or without what the estimate needs
        if record.protocol == left_out:
            continue
        key = record.architecture, str(record.environment.get("device"))
        if key not in longest or longest[key].seconds["train"] < record.seconds["train"]:
            longest[key] = record
    return longest


def _untrained_stages(job: Job) -> dict[str, Job]:
    """Finds the missing trainings of a job, by the key of their model."""
    stages: dict[str, Job] = {}
    stage: Job | None = job
    while stage is not None and not model_dir(stage.model_key).is_dir():
        stages[stage.model_key] = stage
        stage = stage.init_job
    return stages


def _scoring_seconds(job: Job, record: Record) -> float:
    """Estimates the time of all that follows the training."""
    scale = len(job.data.test) * job.preset.image_size**2 / max(1, record.images["test"] * _image_size(record) ** 2)
    return scale * sum(value for stage, value in record.seconds.items() if stage != "train")


def _training_seconds(job: Job, record: Record) -> float:
    work = _compute_work(len(job.data.train), job.settings.epochs, job.preset.image_size, job.cell.regime.cost)
    done = len(record.training.losses)
    record_work = _compute_work(record.images["train"], done, _image_size(record), _cost(record))
    return record.seconds["train"] * work / record_work if record_work else math.nan


def _compute_work(images: int, epochs: int, image_size: int, cost: float) -> float:
    return images * epochs * image_size**2 * cost


def _image_size(record: Record) -> int:
    return int(record.settings["preset"]["image_size"])


def _cost(record: Record) -> float:
    """Returns the current forward-equivalents of the record's regime, or those of `standard` if it no longer exists."""
    regime = entries(Regime).get(record.regime)
    return (regime.cost * regime.batch_replays) if regime else 3.0
