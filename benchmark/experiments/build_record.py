"""Builds the record of a cell from its results."""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from architectures import Architecture
from benchmark.experiments.job import Job
from benchmark.registry import is_external, source_file
from benchmark.runtime.environment import environment
from benchmark.saliency.alignment import describe_alignment
from benchmark.scoring.quantus_calls import Reasons
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import MetricDefinition, Provenance, Record, Stage, Submission, Training
from metrics import Metric

NO_SCORE = "no score: "
"""Prefix of the names in a record's summary that explain why a metric of Quantus has no score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellOutcome:
    """The results of a cell.

    Attributes:
        model: The trained network.
        training: History of the training.
        predictions: One row per test image.
        classification: Measures of the classification.
        scores: One row per image, method, metric and reference.
        timestamps: End of each stage in seconds, in order. The first entry is the start.
        reasons: Reasons why metrics of Quantus have no score, with the number of maps.
    """

    model: nn.Module
    training: Training
    predictions: pd.DataFrame
    classification: pd.DataFrame
    scores: pd.DataFrame
    timestamps: dict[str, float]
    reasons: Reasons


def build_record(job: Job, outcome: CellOutcome, files: Mapping[str, str]) -> Record:
    """Builds the record of a cell. `files` has the SHA-256 of its other files."""
    cell, data = job.cell, job.data
    unconfined = job.host is not None and job.host.unconfined
    submission = build_submission(cell.architecture, unconfined=unconfined) if is_external(cell.architecture) else None
    return Record(
        key=job.key,
        protocol=job.protocol,
        dataset=data.name,
        synthetic=data.synthetic,
        preset=job.preset.name,
        architecture=cell.architecture.name,
        regime=cell.regime.name,
        regime_title=format_regime_title(cell.regime.title or cell.regime.name, submission)
        if submission
        else cell.regime.title,
        adversarial=cell.regime.adversarial,
        seed=cell.seed,
        variant=cell.variant,
        identity=job.identity,
        classes=data.classes,
        images=_images(job),
        settings=_settings(job),
        metrics={metric.name: define_metric(metric) for metric in job.metrics},
        methods=job.preset.methods,
        alignment=describe_alignment(
            cell.architecture, job.size, job.preset.alignment, outcome.model, job.target_layer
        ),
        training=outcome.training,
        provenance=build_provenance(job),
        parameters=sum(parameter.numel() for parameter in outcome.model.parameters()),
        seconds=_seconds(outcome),
        environment=environment(job.device),
        classification=describe_classification(outcome.classification),
        summary=_summary(outcome),
        files=dict(files),
        submission=submission,
    )


def build_provenance(job: Job) -> Provenance:
    """Builds the part of a record that says what the model started from and which images it saw."""
    first = job.stages[-1]
    weights, sha256 = _describe_weights(first)
    return Provenance(
        weights=weights,
        weights_sha256=sha256,
        stages=tuple(
            Stage(dataset=stage.data.name, regime=stage.cell.regime.name, train=len(stage.data.train))
            for stage in reversed(job.stages[1:])
        ),
        split=job.data.split_origin,
        near_duplicates=job.near_duplicates,
        options=job.options,
    )


def _describe_weights(job: Job) -> tuple[str, str]:
    """Returns the initial weights of a job, "random", "pretrained" or a file, and the SHA-256 of the file."""
    if (checkpoint := job.cell.architecture.checkpoint) is not None:
        return checkpoint.file, checkpoint.sha256
    if job.weights_path is None:
        return job.weights, ""
    path = Path(job.weights)
    # A directory has a file of the architecture. On a worker, only a copy of the file exists.
    name = path.name if path.suffix == ".safetensors" else f"{path.name}/{job.cell.architecture.name}.safetensors"
    return name, file_digest(job.weights_path)


def _seconds(outcome: CellOutcome) -> dict[str, float]:
    """Computes the time of each stage. That of the training is its own, not that of loading a trained model."""
    timestamps = outcome.timestamps
    seconds = {after: timestamps[after] - timestamps[before] for before, after in itertools.pairwise(timestamps)}
    del seconds["train"]
    return seconds if outcome.training.seconds is None else {"train": outcome.training.seconds} | seconds


def build_submission(architecture: Architecture, *, unconfined: bool = False) -> Submission:
    """Builds the part of a record that describes an external entry. `unconfined`: its code ran without a box."""
    file = source_file(architecture)
    return Submission(
        entry=file.name,
        sha256=file_digest(file),
        authors=architecture.authors,
        license=architecture.license,
        source=architecture.source,
        checkpoint=asdict(architecture.checkpoint) if architecture.checkpoint else {},
        superseded_by=architecture.superseded_by,
        withdrawn=architecture.withdrawn,
        unconfined=unconfined,
    )


def format_regime_title(regime: str, submission: Submission) -> str:
    """Formats the title of the regime with the marks of its entry, such as `withdrawn`."""
    marks = ["external"] if submission.checkpoint else []
    marks += [f"superseded by {submission.superseded_by}"] if submission.superseded_by else []
    marks += [f"withdrawn: {submission.withdrawn}"] if submission.withdrawn else []
    return f"{regime} ({'; '.join(marks)})" if marks else regime


def _settings(job: Job) -> dict[str, Any]:
    training = asdict(job.settings) | {"weights": job.init_job.model_key if job.init_job else job.weights}
    if job.init_job is not None:
        first = job.init_job
        training["start"] = {"data": first.data.name, "regime": first.cell.regime.name, "train": len(first.data.train)}
    return {"training": training, "preset": asdict(job.preset)}


def _images(job: Job) -> dict[str, int]:
    test = len(job.data.test)
    return {
        "available": job.data.available,
        "train": len(job.data.train),
        "validation": len(job.data.rows("validation")),
        "test": test,
        "left_out": len(job.data.left_out),
        "perturbed": min(job.preset.num_perturbed or test, test),
        "attacked": min(job.preset.num_attacked or test, test),
    }


def define_metric(metric: Metric) -> MetricDefinition:
    """Builds the part of a record that says what a metric means."""
    return MetricDefinition(
        higher_is_better=metric.higher_is_better,
        bounds=metric.bounds,
        definition=metric.definition,
        source=metric.source,
        heading=metric.heading,
        agreement=metric.agreement,
    )


def describe_classification(measures: pd.DataFrame) -> dict[str, float | None]:
    """Returns the point estimates of classification measures by name."""
    names = measures["measure"] + [f" ({of})" if of else "" for of in measures["of"]]
    return {name: None if pd.isna(value) else value for name, value in zip(names, measures["value"], strict=True)}


def _summary(outcome: CellOutcome) -> dict[str, Any]:
    """Computes plain means, for people who read the record. The tables use the per-image files."""
    correct = outcome.predictions["label"] == outcome.predictions["predicted"]
    summary: dict[str, Any] = {"accuracy": float(correct.mean())}
    for (method, level, metric), value in mean_scores(outcome.scores):
        summary[f"{method}: {metric} ({level})"] = None if pd.isna(value) else value
    for metric, reasons in outcome.reasons.items():
        texts = [f"{count} maps: {reason}" for reason, count in reasons.items()]
        summary |= {f"{NO_SCORE}{metric}": "; ".join(texts)} if texts else {}
    return summary


def mean_scores(scores: pd.DataFrame) -> list[tuple[tuple[str, str, str], float]]:
    """Computes the mean score of each method, level and metric."""
    means = scores.groupby(["method", "level", "metric"])["value"].mean()
    return list(zip(means.index.to_list(), means.to_list(), strict=True))
