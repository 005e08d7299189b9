"""The record of maps from elsewhere, and its place in the tables."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.baselines.score import score_baselines
from benchmark.escaping import frame_csv
from benchmark.experiments.build_record import define_metric, describe_classification, mean_scores
from benchmark.experiments.external_model import ExternalModel
from benchmark.experiments.job import Job
from benchmark.experiments.publish import copy_cell, table_facts
from benchmark.registry import select
from benchmark.runtime.device import nearest_device, return_freed_memory
from benchmark.runtime.environment import environment
from benchmark.saliency import Method
from benchmark.scoring.classification import classification_measures
from benchmark.scoring.perturbation import ContextFactory
from benchmark.scoring.score import MODEL_INPUTS, score_maps
from benchmark.storage.cache import cached_directory, is_intact
from benchmark.storage.files import atomic_file, write_text
from benchmark.storage.hashing import content_key, file_digest
from benchmark.storage.house import list_made, read_house, state_facts
from benchmark.storage.lock import writing
from benchmark.storage.parquet import write_parquet
from benchmark.storage.protocol import accept_file, read_protocol, write_protocol
from benchmark.storage.record import (
    ExternalMaps,
    Record,
    Training,
    load_record,
    write_record,
)
from benchmark.storage.results import BASELINES_FILE, SPLIT_FILE, record_file, record_files, table_dir
from benchmark.storage.runs import cell_dir
from metrics import Metric

UNKNOWN = -1
"""The predicted class where it is unknown."""
EVERY_METHOD = ""
"""The method of scores that belong to the tables of all methods, as those of baselines do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalCell:
    """Maps from elsewhere with everything that determines their row.

    Attributes:
        job: The data and the settings of scoring. Nothing is trained.
        protocol: Protocol of the row.
        name: Name of the row.
        maps: Where the maps are from, and what was noticed.
        predictions: A row per test image: predicted, and p0, p1 ... if they are known. None without predictions.
        model: The network behind the maps. None if it is not at hand.
    """

    job: Job
    protocol: str
    name: str
    maps: ExternalMaps
    predictions: pd.DataFrame | None
    model: ExternalModel | None = None

    @property
    def metrics(self) -> list[Metric]:
        """All metrics of the table that can be computed: without a network, those of the map alone.

        Scores that need maps of changed images need the saliency method, which is not at hand.
        """
        impossible = frozenset({"context"}) if self.model else MODEL_INPUTS
        return [metric for metric in self.job.metrics if not metric.inputs & impossible]

    @property
    def perturbed(self) -> NDArray[np.intp]:
        """Indices of the test images of which pixels are inserted and deleted."""
        return self.job.data.subset(self.job.preset.num_perturbed if self.model else 0)

    @property
    def regime(self) -> str:
        """What is in the place of a regime: the method."""
        return f"maps-{self.maps.method}"

    @property
    def key(self) -> str:
        """Hash of everything that determines the record."""
        known = None if self.predictions is None else self.predictions.to_csv()
        maps = self.maps
        network = [maps.network, maps.checkpoint] if self.model else []
        network += filter(None, [maps.normalization, maps.answers])
        return content_key(self.protocol, self.name, self.maps.method, self.maps.sha256, known, *network)


def write_cell(cell: ExternalCell, maps: NDArray[np.float16]) -> Record:
    """Scores the maps (T, S, S) of the test images, and writes scores, predictions and record to the runs.

    Maps that were scored before are not scored again.
    """
    directory = cell_dir(cell.key)
    if is_intact(directory):
        return load_record(directory / "record.json")
    data = cell.job.data
    start = time.perf_counter()
    metrics = cell.metrics
    return_freed_memory()  # what reading the data and the maps has freed, before scoring needs other blocks
    scores = score_maps(maps, data, metrics, device=nearest_device(cell.job.device), contexts=_contexts(cell, maps))
    scores.insert(1, "method", EVERY_METHOD)
    predictions = _predictions(cell)
    with cached_directory(directory) as temporary:
        write_parquet(scores, temporary / "scores.parquet")
        write_parquet(predictions, temporary / "predictions.parquet")
        measures = _measures(cell, predictions)
        write_text(temporary / "classification.csv", frame_csv(measures))
        files = {path.name: file_digest(path) for path in sorted(temporary.iterdir())}
        record = _build_record(cell, summary=_summary(cell, scores, predictions), files=files).model_copy(
            update={
                "metrics": {metric.name: define_metric(metric) for metric in metrics},
                "classification": describe_classification(measures),
                "seconds": {"train": 0.0, "score": time.perf_counter() - start},
            }
        )
        write_record(temporary / "record.json", record)
    return record


def _contexts(cell: ExternalCell, maps: NDArray[np.float16]) -> tuple[NDArray[np.intp], ContextFactory] | None:
    """Returns which test images are perturbed, and what perturbs some of them. None without a network."""
    model, predictions = cell.model, cell.predictions
    if model is None or predictions is None:
        return None
    predicted, steps = predictions["predicted"].to_numpy(), cell.job.preset.perturbation_steps
    return cell.perturbed, lambda indices: model.perturb(cell.job.data, maps, predicted, indices, steps)


def _predictions(cell: ExternalCell) -> pd.DataFrame:
    """Builds a row per test image: image, group, label and the predictions. An unknown class is -1."""
    samples = cell.job.data.samples.iloc[cell.job.data.test].reset_index(drop=True)
    frame = samples[["id", "group", "label"]].rename(columns={"id": "image"})
    return frame.assign(predicted=UNKNOWN) if cell.predictions is None else pd.concat([frame, cell.predictions], axis=1)


def _measures(cell: ExternalCell, predictions: pd.DataFrame) -> pd.DataFrame:
    """Computes the measures of the classification; none without predictions."""
    if cell.predictions is None:
        return pd.DataFrame(columns=["measure", "of", "value", "low", "high", "n"])
    return classification_measures(predictions, cell.job.data.classes)


def _summary(cell: ExternalCell, scores: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float | None]:
    """Computes plain means, for people who read the record."""
    summary: dict[str, float | None] = {}
    if cell.predictions is not None:
        summary["accuracy"] = float((predictions["label"] == predictions["predicted"]).mean())
    for (_, level, metric), value in mean_scores(scores):
        summary[f"{cell.maps.method}: {metric} ({level})"] = None if pd.isna(value) else value
    return summary


def _build_record(cell: ExternalCell, *, summary: Mapping[str, float | None], files: Mapping[str, str]) -> Record:
    """Builds the record without what was measured."""
    job, data, test = cell.job, cell.job.data, len(cell.job.data.test)
    return Record(
        key=cell.key,
        protocol=cell.protocol,
        dataset=data.name,
        synthetic=data.synthetic,
        preset=job.preset.name,
        architecture=cell.name,
        regime=cell.regime,
        regime_title=f"maps by {cell.maps.method}",
        adversarial=False,
        seed=0,
        classes=data.classes,
        images={"available": data.available, "train": 0, "validation": 0, "test": test}
        | {"left_out": len(data.left_out), "perturbed": len(cell.perturbed), "attacked": 0},
        settings={"training": {}, "preset": asdict(job.preset)},
        metrics={},
        methods=(cell.maps.method,),
        training=Training(sha256="", losses=[], validation=[], best=0, micro_batch=0, stopped=False),
        parameters=0,
        seconds={},
        environment=environment(nearest_device(job.device)),
        classification={},
        summary=dict(summary),
        files=dict(files),
        external_maps=cell.maps,
        badge="maps only",
    )


def publish_external(cell: ExternalCell, record: Record) -> Path:
    """Copies the record into the results, with baselines and, for a new table, its protocol and split.

    Returns:
        The results directory.
    """
    job = cell.job
    directory = table_dir(job.data.name, job.preset.name)
    with writing(directory):
        if "protocol" not in read_protocol(directory):
            write_protocol(directory, cell.protocol)
            write_text(directory / SPLIT_FILE, job.data.manifest.read_text(encoding="utf-8"))
        target = record_file(directory, record.architecture, record.regime, record.seed)
        copy_cell(cell_dir(cell.key), target)
        _state_house(cell, directory, target)
        _add_baselines(cell, directory / BASELINES_FILE)
    return directory


def _state_house(cell: ExternalCell, directory: Path, target: Path) -> None:
    """Writes that maps were scored here. A directory of an earlier version has no such list, and gets none."""
    if read_house(directory) is None and len(record_files(directory)) > 1:
        return
    state_facts(directory, {cell.protocol: table_facts(cell.job)})
    list_made(directory, [target])


def _add_baselines(cell: ExternalCell, path: Path) -> None:
    """Adds the baselines that need no network, unless the table has those of this protocol."""
    existing = pd.read_parquet(path) if path.is_file() else pd.DataFrame({"protocol": []})
    if (existing["protocol"].astype(str) == cell.protocol).any():
        return
    job = cell.job
    methods, device = select(Method, job.preset.methods), nearest_device(job.device)
    frame = score_baselines(job.data, [], methods, device, cell.protocol, alignment=job.preset.alignment)
    frame = frame.assign(protocol=cell.protocol)
    with atomic_file(path) as temporary:
        write_parquet(pd.concat([existing, frame], ignore_index=True) if len(existing) else frame, temporary)
    accept_file(path.parent, path.name)
