"""Loads the cached maps of an earlier run from the record of its model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from architectures import Architecture
from benchmark.config.presets import load_preset
from benchmark.data.dataset import ImageDataset
from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.experiments.cell import has_maps, load_maps
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.registry import select
from benchmark.runtime.device import choose_device
from benchmark.runtime.terminal import Terminal
from benchmark.saliency import Method
from benchmark.storage.record import Record
from benchmark.storage.runs import maps_dir
from benchmark.training.regimes import Regime


def load_cached_maps(
    record: Record, method: str, source: Source, split: Path
) -> tuple[ImageDataset, NDArray[np.float16]] | None:
    """Loads the data and the maps (T, S, S) behind the scores of a record, if they still exist.

    Args:
        record: Record of the model.
        method: The saliency method.
        source: The data set.
        split: The split.csv of the results, for runs with a split from a file.

    Returns:
        None if data, code or settings differ from those of the record, or if the maps were removed.
    """
    is_embedded = source.directory is None  # the images that a program renders, which takes half a minute
    if not maps_dir().is_dir() or (is_embedded and not record.synthetic):
        return None
    try:
        preset = load_preset(record.settings["preset"])
        cell = Cell(
            architecture=select(Architecture, [record.architecture])[0],
            regime=select(Regime, [record.regime])[0],
            seed=record.seed,
            variant=record.variant,
        )
        device = choose_device(record.environment["device"])
        for manifest in (None, split):
            request = RunRequest(
                preset=preset,
                source=source,
                cells=[cell],
                device=device,
                bfloat16=record.settings["training"]["bfloat16"],
                manifest=manifest,
            )
            job: Job = build_jobs(request, Terminal(quiet=True))[0]
            saliency = select(Method, [method])[0]
            if job.key == record.key and has_maps(job, saliency):
                return job.data, load_maps(job, saliency)
    except (UserError, OSError, KeyError, TypeError):
        return None
    return None
