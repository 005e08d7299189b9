"""How long a plan will take and how much it will keep, from the records of earlier cells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.experiments.job import Job
from benchmark.registry import entries
from benchmark.storage.record import Record, load_record
from benchmark.storage.results import all_record_files
from benchmark.storage.runs import cell_records, model_dir
from benchmark.training.regimes import Regime

WEIGHT_BYTES = 4
MAP_BYTES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What is left of a plan.

    Attributes:
        seconds: Of the cells that could be judged; stages that several cells begin with are counted once.
        bytes: What their models and maps will take under `runs/`.
        unknown: Cells of architectures that no record on this kind of device speaks of.
    """

    seconds: float
    bytes: int
    unknown: tuple[str, ...]


def forecast(jobs: Sequence[Job]) -> Forecast:
    """Time and disk of the cells that are not done.

    Time of training is taken to grow with images, passes, pixels and the regime's forward-equivalents, that of
    everything else with the number of test images and pixels, both from the latest record of the architecture on the
    same kind of device. That holds within a factor of two or so: attacks and batch sizes have their own laws.
    """
    known = _latest()
    seconds, size, unknown = 0.0, 0, []
    stages: dict[str, Job] = {}
    for job in jobs:
        if job.done:
            continue
        record = known.get((job.cell.architecture.name, job.device.type))
        if record is None:
            unknown.append(job.cell.name)
            continue
        stages |= _untrained_stages(job)
        test, pixels = len(job.data.test), job.preset.image_size**2
        share = test * pixels / max(1, record.images["test"] * _side(record) ** 2)
        seconds += share * sum(value for stage, value in record.seconds.items() if stage != "train")
        size += record.parameters * WEIGHT_BYTES + len(job.preset.methods) * test * pixels * MAP_BYTES
    for stage in stages.values():
        seconds += _training_seconds(stage, known[stage.cell.architecture.name, stage.device.type])
    return Forecast(seconds=seconds, bytes=size, unknown=tuple(unknown))


def _latest() -> dict[tuple[str, str], Record]:
    """By architecture and kind of device, the record of the longest training: start-up counts least in it."""
    paths = [*all_record_files(), *cell_records()]
    found: dict[tuple[str, str], Record] = {}
    for path in sorted(paths):
        try:
            record = load_record(path)
        except (OSError, ValueError):
            continue
        key = record.architecture, str(record.environment.get("device"))
        if key not in found or found[key].seconds["train"] < record.seconds["train"]:
            found[key] = record
    return found


def _untrained_stages(job: Job) -> dict[str, Job]:
    """The trainings that a job needs and nobody has done, by the key of their model."""
    stages: dict[str, Job] = {}
    stage: Job | None = job
    while stage is not None and not model_dir(stage.model_key).is_dir():
        stages[stage.model_key] = stage
        stage = stage.init_job
    return stages


def _training_seconds(job: Job, record: Record) -> float:
    wanted = _work(len(job.data.train), job.settings.epochs, job.preset.image_size, job.cell.regime.cost)
    done = len(record.training.losses)
    known = _work(record.images["train"], done, _side(record), _cost(record))
    return record.seconds["train"] * wanted / known if known else math.nan


def _work(images: int, epochs: int, side: int, cost: float) -> float:
    return images * epochs * side**2 * cost


def _side(record: Record) -> int:
    return int(record.settings["preset"]["image_size"])


def _cost(record: Record) -> float:
    """Forward-equivalents of the record's regime as it is now; a regime that is gone counts as a standard one."""
    regime = entries(Regime).get(record.regime)
    return (regime.cost * regime.batch_replays) if regime else 3.0
