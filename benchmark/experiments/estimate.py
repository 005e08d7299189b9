"""Estimates of time and disk space of a run, from the records of earlier cells."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from benchmark.config.presets import QUICK, load_preset
from benchmark.errors import UserError
from benchmark.experiments.job import Job
from benchmark.experiments.workload import DIAGNOSE, EXPLAIN, TRAIN, job_workload, record_workload
from benchmark.registry import entries
from benchmark.runtime.environment import hardware
from benchmark.storage.paths import ROOT
from benchmark.storage.record import Record, load_record
from benchmark.storage.results import RECORDS, all_record_files
from benchmark.storage.runs import cell_records, model_dir
from benchmark.training.regimes import Regime

WEIGHT_BYTES = 4
MAP_BYTES = 2
MAX_MINUTES = 120
"""Maximum number of minutes that are not shown in hours."""
MAX_REFERENCES = 5
"""Maximum number of records that an estimate is the median of, the most similar ones."""
MIN_OWN_REFERENCES = 2
"""Minimum number of records of this machine for an estimate without those of others. A single one may be an outlier."""
MIN_RELATIVE_RATE = 0.1
"""Minimum time per work of a diagnosis, relative to that of the explanation. A faster one came from a cache."""
MACHINE = ("processor", "threads", "accelerator")
"""Fields of the environment that the time depends on."""

ReferenceKey = tuple[str, str]
"""Architecture and type of device."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """An earlier cell.

    Attributes:
        machine: Where it ran: the fields :data:`MACHINE` of its environment.
        parameters: Number of parameters of its network.
        work: Work of each stage, as in :class:`benchmark.experiments.workload.Workload`.
        rates: Time per work of the stages that it computed, in seconds.
    """

    machine: tuple[object, ...]
    parameters: int
    work: Mapping[str, float]
    rates: Mapping[str, float]


def forecast(jobs: Sequence[Job]) -> Forecast:
    """Estimates time and disk space of the unfinished cells.

    The time of a stage is proportional to its work: forward passes times pixels, see
    :class:`benchmark.experiments.workload.Workload`. The factor is the median over similar records of the architecture
    on the same type of device, those of this machine first. Nine in ten committed cells take between a third of what
    the other records say and three times as long, as the tests compute. The main reason is what else ran on the
    machine. The update of the weights does not grow with the pixels, so VGG16 takes less than estimated from smaller
    images.
    """
    references = _load_references({*all_record_files(), *_committed_records("*"), *cell_records()})
    seconds, size, unknown = 0.0, 0, []
    stages: dict[str, Job] = {}
    for job in jobs:
        if job.done:
            continue
        similar = references.get((job.cell.architecture.name, job.device.type))
        if similar is None:
            unknown.append(job.cell.name)
            continue
        training = _untrained_stages(job)
        times = [_training_seconds(stage, similar) for stage in training.values()]
        scoring = _scoring_seconds(job, similar)
        if math.isnan(scoring + sum(times)):
            unknown.append(job.cell.name)
            continue
        stages |= training
        seconds += scoring
        test, pixels = len(job.data.test), job.preset.image_size**2
        size += similar[0].parameters * WEIGHT_BYTES + len(job.preset.methods) * test * pixels * MAP_BYTES
    for stage in stages.values():
        seconds += _training_seconds(stage, references[stage.cell.architecture.name, stage.device.type])
    return Forecast(seconds=seconds, bytes=size, unknown=tuple(unknown))


def format_duration(seconds: float) -> str:
    """Formats an estimated time in minutes, or in hours above two hours.

    Example:
        >>> format_duration(20), format_duration(7200), format_duration(7300), format_duration(90_000)
        ('1 min', '120 min', '2.0 h', '25 h')
    """
    minutes = max(1, round(seconds / 60))
    if minutes <= MAX_MINUTES:
        return f"{minutes} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"


def order_by_cost(jobs: Sequence[Job]) -> list[Job]:
    """Orders cells by their estimated time, the shortest first, so that a run shows results early.

    Records of the jobs' own table do not count, so the order of a run that continues is that of the first start. The
    quick runs of the checkout count first, since times of one machine compare. Cells without an estimate come last.
    Cells of equal time stay in their order, and a cell follows the one whose model initializes it.
    """
    if len(jobs) < 2:
        return list(jobs)
    protocol = jobs[0].protocol
    quick = {*_committed_records(QUICK.name)}
    others = {*all_record_files(), *cell_records()} - quick
    references = _load_references(others, protocol) | _load_references(quick, protocol)
    return sorted(jobs, key=partial(_cell_seconds, references=references))


def _committed_records(preset: str) -> Iterable[Path]:
    """Finds the records of the checkout."""
    return (ROOT / "results").glob(f"*/{preset}/{RECORDS}/[!.]*.json")


def _cell_seconds(job: Job, references: Mapping[ReferenceKey, Sequence[Reference]]) -> float:
    """Estimates the time of a cell with its missing trainings. Infinite without an estimate."""
    name = job.cell.architecture.name
    similar = references.get((name, job.device.type)) or references.get((name, "cpu"))
    if similar is None:
        return math.inf
    trainings = [_training_seconds(stage, similar) for stage in _untrained_stages(job).values()]
    seconds = _scoring_seconds(job, similar) + sum(trainings)
    return math.inf if math.isnan(seconds) else seconds


def _load_references(paths: Iterable[Path], left_out: str = "") -> dict[ReferenceKey, list[Reference]]:
    """Loads the records per architecture and type of device, each of several copies once.

    Args:
        paths: The records.
        left_out: Protocol of records that do not count.
    """
    references: dict[ReferenceKey, list[Reference]] = {}
    keys: set[tuple[str, str]] = set()
    for path in sorted(paths):
        try:
            record = load_record(path)
            reference = build_reference(record)
        except (UserError, OSError, ValueError, KeyError, TypeError):
            continue  # damaged, or without what the estimate needs
        key = record.key, record.training.sha256
        if record.protocol == left_out or not reference.rates or key in keys:
            continue
        keys.add(key)
        references.setdefault((record.architecture, str(record.environment.get("device"))), []).append(reference)
    return references


def build_reference(record: Record) -> Reference:
    """Computes how long the stages of a record took, per work.

    Raises:
        UserError, KeyError, TypeError: The record lacks a setting or a number of images.
    """
    workload = record_workload(record, load_preset(record.settings["preset"]), entries(Regime).get(record.regime))
    work = workload.stages()
    rates = {stage: record.seconds[stage] / work[stage] for stage in work if record.seconds.get(stage) and work[stage]}
    return Reference(
        machine=_select_machine(record.environment),
        parameters=record.parameters,
        work=work,
        rates={stage: rates[stage] for stage in rates.keys() - _uninformative_stages(record, rates)},
    )


def _uninformative_stages(record: Record, rates: Mapping[str, float]) -> set[str]:
    """Finds the stages of a record whose time is not that of their work.

    A cached diagnosis takes almost no time. Records of older versions measured no reliance, and have the time of
    loading in place of that of a cached training. Where the diagnosis was cached, so was the training.
    """
    is_cached = rates.get(DIAGNOSE, 0.0) < MIN_RELATIVE_RATE * rates.get(EXPLAIN, 0.0)
    if record.training.seconds is not None:
        return {DIAGNOSE} if is_cached else set()
    return {DIAGNOSE, TRAIN} if is_cached else {DIAGNOSE}


def _select_machine(fields: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(fields.get(name) for name in MACHINE)


@cache
def _this_machine(device: str) -> tuple[object, ...]:
    return _select_machine(hardware(device))


def _untrained_stages(job: Job) -> dict[str, Job]:
    """Finds the missing trainings of a job, by the key of their model."""
    stages: dict[str, Job] = {}
    stage: Job | None = job
    while stage is not None and not model_dir(stage.model_key).is_dir():
        stages[stage.model_key] = stage
        stage = stage.init_job
    return stages


def _scoring_seconds(job: Job, references: Sequence[Reference]) -> float:
    """Estimates the time of all that follows the training. NaN without a reference."""
    machine, work = _this_machine(job.device.type), job_workload(job).stages()
    del work[TRAIN]
    return sum(estimate_seconds(stage, amount, references, machine) for stage, amount in work.items())


def _training_seconds(job: Job, references: Sequence[Reference]) -> float:
    """Estimates the time of a training. NaN without a reference."""
    work = job_workload(job).stages()[TRAIN]
    return estimate_seconds(TRAIN, work, references, _this_machine(job.device.type))


def estimate_seconds(
    stage: str, work: float, references: Sequence[Reference], machine: tuple[object, ...] = ()
) -> float:
    """Estimates the time of a stage: the median rate of similar references, times the work. NaN without a reference.

    Args:
        stage: Its name. A diagnosis without a reference is as fast, per work, as an explanation.
        work: Its work.
        references: Earlier cells of the architecture.
        machine: The fields :data:`MACHINE` of this environment. From two of its own references on, others do not count.
    """
    if stage == DIAGNOSE and not any(stage in reference.rates for reference in references):
        # The unit of work is the same.
        references = [replace(each, rates={stage: rate}) for each in references if (rate := each.rates.get(EXPLAIN))]
    known = [reference for reference in references if stage in reference.rates]
    own = [reference for reference in known if reference.machine == machine]
    similar = sorted(
        own if len(own) >= MIN_OWN_REFERENCES else known,
        key=lambda reference: abs(math.log(work / reference.work[stage])) if work else 0.0,
    )
    rates = [reference.rates[stage] for reference in similar[:MAX_REFERENCES]]
    return work * statistics.median(rates) if rates else math.nan
