"""A record and the files beside it, checked without running anything."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency import Method
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Record, load_record
from benchmark.storage.upgrade import SCHEMA, upgrade_scores
from benchmark.submission.entries import HOME, SUFFIXES, Facts
from benchmark.training.regimes import Regime
from metrics import Metric

SLACK = 1e-6
BESIDE = ("scores.parquet", "predictions.parquet")
SCORES = {"image", "method", "metric", "level", "rater", "characteristic", "value"}
PROVENANCE = ("commit", "python", "packages", "device")
LARGEST = 200 * 1024**2


def read_record_report(path: Path) -> tuple[list[str], list[str], dict[str, Any]]:
    """Problems, warnings and facts of a record."""
    try:
        record = load_record(path)
    except (ValueError, OSError) as error:
        return [f"no record of schema {SCHEMA}: {str(error).splitlines()[0][:200]}"], [], {}
    facts = {
        "name": record.architecture,
        "regime": record.regime,
        "seed": record.seed,
        "badge": record.badge,
        "external": bool(record.submission and record.submission.checkpoint),
    }
    problems, warnings = _named(record, path), _provenance(record)
    try:
        problems += _hashes(record, path)
        scores, predictions = (_table(path, what) for what in BESIDE)
        problems += _predicted(record, predictions)
        problems += _scored(record, scores, set(predictions["image"]))
        problems += _agrees(record, scores, predictions)
    except (ValueError, KeyError, TypeError, OSError) as error:
        problems.append(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
    return problems, warnings, facts


def _named(record: Record, path: Path) -> list[str]:
    """Names that are known, and agree with that of the file."""
    problems = []
    wanted = f"{record.architecture}-{record.regime}-{record.seed}"
    if path.stem != wanted:
        problems.append(f"is the record of {wanted}, but lies in {path.name}")
    theirs = {each.stem for each in HOME.glob("*") if each.suffix in SUFFIXES}
    if record.architecture not in entries(Architecture).keys() | theirs and record.submission is None:
        problems.append(f"architecture {record.architecture} is not registered, and it names no entry from outside")
    if record.submission is not None:
        # The record tells what its entry tells; text of either ends up in tables.
        told = record.submission
        try:
            for name in ("authors", "license", "source", "superseded_by", "withdrawn"):
                Facts.plain(getattr(told, name))
        except ValueError as error:
            problems.append(f"submission: {error}")
        entry = HOME / Path(told.entry).name
        if entry.is_file() and not (told.withdrawn or told.superseded_by) and file_digest(entry) != told.sha256:
            problems.append(f"made of another {told.entry} than lies in {HOME.name}/; submit it again")
    if record.regime not in entries(Regime):
        problems.append(f"regime {record.regime!r} is not registered")
    problems += [f"method {name!r} is not registered" for name in record.methods if name not in entries(Method)]
    return problems


def _provenance(record: Record) -> list[str]:
    missing = [name for name in PROVENANCE if not record.environment.get(name)]
    warnings = [f"says nothing of its {' and '.join(missing)}"] if missing else []
    if record.environment.get("uncommitted_changes"):
        warnings.append("made with changes to the code that were not committed")
    return warnings


def _hashes(record: Record, path: Path) -> list[str]:
    """What lies beside the record is what it was made with; old records have no hashes."""
    problems = []
    for ending, sha256 in record.files.items():
        file = path.with_name(f"{path.stem}.{Path(ending).name}")
        if not file.is_file():
            problems.append(f"{file.name} is missing")
        elif file_digest(file) != sha256:
            problems.append(f"{file.name} has another SHA-256 than the record says; one of them was changed")
    digits = record.training.sha256
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        problems.append("training.sha256 is no SHA-256")
    checkpoint = record.submission.checkpoint if record.submission else {}
    if checkpoint and checkpoint.get("sha256") != digits:
        problems.append("the checkpoint that was evaluated is not the one that the entry names")
    return problems


def _table(path: Path, what: str) -> pd.DataFrame:
    file = path.with_name(f"{path.stem}.{what}")
    if not file.is_file():
        raise ValueError(f"{file.name} is missing")
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file.name} is larger than {LARGEST // 1024**2} MB")
    frame = pd.read_parquet(file)
    return upgrade_scores(frame) if "metric" in frame else frame


def _predicted(record: Record, frame: pd.DataFrame) -> list[str]:
    """A row per test image, with probabilities that are some."""
    problems = []
    if len(frame) != record.images["test"] or frame["image"].duplicated().any():
        problems.append(f"has predictions for {len(frame)} images, not one for each of {record.images['test']}")
    classes = len(record.classes)
    chances = frame[[f"p{number}" for number in range(classes)]].to_numpy(dtype=np.float64)
    if not (np.isfinite(chances).all() and (chances >= 0).all() and np.allclose(chances.sum(axis=1), 1, atol=1e-3)):
        problems.append("has probabilities that are none")
    elif (chances.argmax(axis=1) != frame["predicted"].to_numpy()).any():
        problems.append("predicts other classes than its probabilities say")
    if not frame["label"].between(0, classes - 1).all():
        problems.append("has labels that no class has")
    return problems


def _scored(record: Record, frame: pd.DataFrame, images: set[str]) -> list[str]:
    """Scores of the test images, each once and within the bounds of its metric."""
    if absent := SCORES - set(frame.columns):
        return [f"scores lack the column {min(absent)!r}"]
    problems = []
    if strangers := set(frame["image"].unique()) - images:
        problems.append(f"scores {min(strangers)!r}, which is no test image")
    if frame.duplicated(subset=sorted(SCORES - {"value"})).any():
        problems.append("scores something twice")
    known = entries(Metric)
    ends = frame.groupby("metric")["value"].agg(["min", "max"])
    for name, least, most in ends.itertuples():
        if name not in record.metrics:
            problems.append(f"scores {name!r} without a definition")
            continue
        # The bounds of our own metric where we have it: those of the record are the submitter's.
        low, high = known[name].bounds if name in known else record.metrics[name].bounds
        wrong = [end for end in (least, most) if end < low - SLACK or end > high + SLACK or math.isinf(end)]
        if wrong:
            problems.append(f"score {wrong[0]:g} of {name} is out of bounds [{low:g}, {high:g}]")
    return problems


def _agrees(record: Record, scores: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    """The summary is that of the files."""
    accuracy = float((predictions["label"] == predictions["predicted"]).mean())
    told = {"accuracy": accuracy}
    for (method, level, metric), values in scores.groupby(["method", "level", "metric"])["value"]:
        told[f"{method}: {metric} ({level})"] = float(values.mean())
    for name, value in told.items():
        claimed = record.summary.get(name)
        if claimed is None and not math.isfinite(value):
            continue
        if not isinstance(claimed, int | float) or not math.isclose(claimed, value, abs_tol=1e-6, rel_tol=1e-6):
            return [f"summary says {claimed} of {name}, its files say {value:.6g}"]
    return []
