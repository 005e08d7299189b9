"""From the outcome of a cell to its record."""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from torch import nn

from architectures import Architecture
from benchmark.experiments.job import Job
from benchmark.registry import is_added, source_file
from benchmark.runtime.environment import environment
from benchmark.saliency.alignment import describe_alignment
from benchmark.scoring.quantus_calls import Reasons
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import MetricDefinition, Record, Submission, Training
from metrics import Metric

NO_SCORE = "no score: "
"""What begins the names in a record's summary under which it says why a metric of Quantus has no score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellOutcome:
    """What a cell came to.

    Attributes:
        model: The trained network.
        training: How it was trained.
        predictions: A row per test image.
        classification: Measures of the diagnosis.
        scores: A row per image, method, metric and reference.
        clock: When each stage ended, in seconds, in order; the first entry is the start.
        reasons: Why metrics of Quantus have no score, and of how many maps.
    """

    model: nn.Module
    training: Training
    predictions: pd.DataFrame
    classification: pd.DataFrame
    scores: pd.DataFrame
    clock: dict[str, float]
    reasons: Reasons


def build_record(job: Job, outcome: CellOutcome, files: Mapping[str, str]) -> Record:
    """The record of a cell; `files` has the SHA-256 of what lies beside it."""
    cell, data, clock = job.cell, job.data, outcome.clock
    submission = build_submission(cell.architecture) if is_added(cell.architecture) else None
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
        classes=data.classes,
        images=_images(job),
        settings=_settings(job),
        metrics={metric.name: _definition(metric) for metric in job.metrics},
        methods=job.preset.methods,
        alignment=describe_alignment(cell.architecture, job.size, job.preset.alignment),
        training=outcome.training,
        parameters=sum(parameter.numel() for parameter in outcome.model.parameters()),
        seconds={after: clock[after] - clock[before] for before, after in itertools.pairwise(clock)},
        environment=environment(job.device),
        classification=_classification(outcome.classification),
        summary=_summary(outcome),
        files=dict(files),
        submission=submission,
    )


def build_submission(architecture: Architecture) -> Submission:
    """What a record tells of an entry from outside."""
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
    )


def format_regime_title(regime: str, submission: Submission) -> str:
    """How people are told of the regime: with the marks that its entry carries."""
    marks = ["external"] if submission.checkpoint else []
    marks += [f"superseded by {submission.superseded_by}"] if submission.superseded_by else []
    marks += [f"withdrawn: {submission.withdrawn}"] if submission.withdrawn else []
    return f"{regime} ({'; '.join(marks)})" if marks else regime


def _settings(job: Job) -> dict[str, Any]:
    training = asdict(job.settings) | {"weights": job.init_job.model_key if job.init_job else job.weights}
    if job.init_job is not None:
        begun = job.init_job
        training["start"] = {"data": begun.data.name, "regime": begun.cell.regime.name, "train": len(begun.data.train)}
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


def _definition(metric: Metric) -> MetricDefinition:
    return MetricDefinition(
        higher_is_better=metric.higher_is_better,
        bounds=metric.bounds,
        definition=metric.definition,
        source=metric.source,
        heading=metric.heading,
        agreement=metric.agreement,
    )


def _classification(measured: pd.DataFrame) -> dict[str, float | None]:
    names = measured["measure"] + [f" ({of})" if of else "" for of in measured["of"]]
    return {name: None if pd.isna(value) else value for name, value in zip(names, measured["value"], strict=True)}


def _summary(outcome: CellOutcome) -> dict[str, Any]:
    """Plain means, for people who open the record; the tables come from the per-image files."""
    right = outcome.predictions["label"] == outcome.predictions["predicted"]
    summary: dict[str, Any] = {"accuracy": float(right.mean())}
    for (method, level, metric), value in _means(outcome.scores):
        summary[f"{method}: {metric} ({level})"] = None if pd.isna(value) else value
    for metric, reasons in outcome.reasons.items():
        told = [f"{number} maps: {reason}" for reason, number in reasons.items()]
        summary |= {f"{NO_SCORE}{metric}": "; ".join(told)} if told else {}
    return summary


def _means(scores: pd.DataFrame) -> list[tuple[tuple[str, str, str], float]]:
    means = scores.groupby(["method", "level", "metric"])["value"].mean()
    return list(zip(means.index.to_list(), means.to_list(), strict=True))
