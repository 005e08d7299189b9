"""Checks a record and the files next to it, without running anything."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from architectures import Architecture
from benchmark.experiments.build_record import mean_scores
from benchmark.registry import entries
from benchmark.saliency import Method
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import ExternalMaps, Record, load_record
from benchmark.storage.results import record_name, sidecar_file
from benchmark.storage.upgrade import SCHEMA, upgrade_scores
from benchmark.submission.entries import ENTRIES_DIR, SUFFIXES, EntryFacts
from benchmark.training.regimes import Regime
from metrics import Metric

BOUND_TOLERANCE = 1e-6
TABLE_FILES = ("scores.parquet", "predictions.parquet")
SCORE_COLUMNS = {"image", "method", "metric", "level", "rater", "characteristic", "value"}
PROVENANCE = ("commit", "python", "packages", "device")
MAX_BYTES = 200 * 1024**2


def read_record_report(path: Path) -> tuple[list[str], list[str], dict[str, Any]]:
    """Returns problems, warnings and facts of a record."""
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
    problems, warnings = [*_check_names(record, path), *_check_texts(record)], _check_provenance(record)
    try:
        problems += _check_hashes(record, path)
        scores, predictions = (_load_table(path, name) for name in TABLE_FILES)
        problems += _check_predictions(record, predictions)
        problems += _check_scores(record, scores, set(predictions["image"]))
        problems += _check_summary(record, scores, predictions)
    except (ValueError, KeyError, TypeError, OSError) as error:
        problems.append(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
    return problems, warnings, facts


def _check_names(record: Record, path: Path) -> list[str]:
    """Names must be registered and agree with the name of the file. Maps from elsewhere have names of their own."""
    problems = []
    expected = record_name(record.architecture, record.regime, record.seed, record.identity)
    if path.stem != expected:
        problems.append(f"is the record of {expected}, but its file is {path.name}; rename the file")
    if record.external_maps is not None:
        return problems + _check_external_names(record, record.external_maps)
    submitted = {file.stem for file in ENTRIES_DIR.glob("*") if file.suffix in SUFFIXES}
    if record.architecture not in entries(Architecture).keys() | submitted and record.submission is None:
        problems.append(f"architecture {record.architecture} is not registered, and the record names no entry file")
    if record.submission is not None:
        # The record repeats the texts of its entry. Both end up in tables.
        submission = record.submission
        try:
            for name in ("authors", "license", "source", "superseded_by", "withdrawn"):
                EntryFacts.plain(getattr(submission, name))
            for value in submission.checkpoint.values():
                EntryFacts.plain(value)
        except ValueError as error:
            problems.append(f"submission: {error}")
        entry = ENTRIES_DIR / Path(submission.entry).name
        final = submission.withdrawn or submission.superseded_by
        if entry.is_file() and not final and file_digest(entry) != submission.sha256:
            problems.append(f"made from another version of {ENTRIES_DIR.name}/{submission.entry}; submit it again")
    if record.regime not in entries(Regime):
        problems.append(f"regime {record.regime!r} is not registered")
    problems += [f"method {name!r} is not registered" for name in record.methods if name not in entries(Method)]
    return problems


def _check_external_names(record: Record, maps: ExternalMaps) -> list[str]:
    """Maps from elsewhere must not pass for a model of Loupe."""
    problems = []
    if record.badge != "maps only":
        problems.append(f"badge {record.badge!r}: the badge of maps from elsewhere is 'maps only'")
    if record.architecture in entries(Architecture):
        problems.append(f"{record.architecture} is an architecture of Loupe; give the maps another name")
    if (record.regime, record.methods) != (f"maps-{maps.method}", (maps.method,)):
        problems.append(f"regime {record.regime!r} and methods {record.methods} are not those of maps by {maps.method}")
    return problems


def _check_texts(record: Record) -> list[str]:
    """Texts about what was done end up in tables and on the page."""
    maps, provenance = record.external_maps, record.provenance
    try:
        for text in (record.architecture, maps.method, maps.source, record.regime_title) if maps else ():
            EntryFacts.plain(text)
    except ValueError as error:
        return [f"external_maps: {error}"]
    if provenance is None:
        return []
    stages = [text for stage in provenance.stages for text in (stage.dataset, stage.regime)]
    try:
        for text in (provenance.weights, *stages, *provenance.options, *record.training.random):
            EntryFacts.plain(text)
    except ValueError as error:
        return [f"provenance: {error}"]
    return []


def _check_provenance(record: Record) -> list[str]:
    missing = [name for name in PROVENANCE if not record.environment.get(name)]
    warnings = [f"has no {' and no '.join(missing)} in its environment"] if missing else []
    if record.environment.get("uncommitted_changes"):
        warnings.append("made with changes to the code that were not committed")
    return warnings


def _check_hashes(record: Record, path: Path) -> list[str]:
    """The files next to the record must have the hashes in it. Old records have no hashes."""
    problems = []
    for suffix, sha256 in record.files.items():
        file = sidecar_file(path, Path(suffix).name)
        if not file.is_file():
            problems.append(f"{file.name} is missing")
        elif file_digest(file) != sha256:
            problems.append(f"{file.name} has another SHA-256 than the record says; one of them was changed")
    weights_sha256 = record.training.sha256
    is_hash = len(weights_sha256) == 64 and not set(weights_sha256) - set("0123456789abcdef")
    if not is_hash and record.external_maps is None:
        problems.append("training.sha256 is no SHA-256")
    checkpoint = record.submission.checkpoint if record.submission else {}
    if checkpoint and checkpoint.get("sha256") != weights_sha256:
        problems.append("the checkpoint that was evaluated is not the one that the entry names")
    return problems


def _load_table(path: Path, name: str) -> pd.DataFrame:
    file = sidecar_file(path, name)
    if not file.is_file():
        raise ValueError(f"{file.name} is missing")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{file.name} is larger than {MAX_BYTES // 1024**2} MB")
    frame = pd.read_parquet(file)
    return upgrade_scores(frame) if "metric" in frame else frame


def _check_predictions(record: Record, frame: pd.DataFrame) -> list[str]:
    """One row per test image, with a valid distribution over the classes."""
    problems = []
    if len(frame) != record.images["test"] or frame["image"].duplicated().any():
        problems.append(f"has predictions for {len(frame)} images, not one for each of {record.images['test']}")
    num_classes = len(record.classes)
    if not frame["label"].between(0, num_classes - 1).all():
        problems.append("has labels that no class has")
    maps = record.external_maps
    if maps is not None and maps.predictions != "probabilities":
        lowest = 0 if maps.predictions == "classes" else -1
        if not frame["predicted"].between(lowest, num_classes - 1).all():
            problems.append("predicts classes that the data does not have")
        return problems
    probabilities = frame[[f"p{index}" for index in range(num_classes)]].to_numpy(dtype=np.float64)
    valid = np.isfinite(probabilities).all() and (probabilities >= 0).all()
    if not (valid and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)):
        problems.append("has probabilities that are negative, not finite, or do not add up to 1")
    elif (probabilities.argmax(axis=1) != frame["predicted"].to_numpy()).any():
        problems.append("predicts other classes than its probabilities say")
    return problems


def _check_scores(record: Record, frame: pd.DataFrame, images: set[str]) -> list[str]:
    """Scores of test images only, without duplicates, within the bounds of each metric."""
    if missing := SCORE_COLUMNS - set(frame.columns):
        return [f"scores lack the column {min(missing)!r}"]
    problems = []
    if unknown := set(frame["image"].unique()) - images:
        problems.append(f"scores {min(unknown)!r}, which is no test image")
    if frame.duplicated(subset=sorted(SCORE_COLUMNS - {"value"})).any():
        problems.append("has two scores for the same image, method and metric")
    registered = entries(Metric)
    extremes = frame.groupby("metric")["value"].agg(["min", "max"])
    for name, min_value, max_value in extremes.itertuples():
        if name not in record.metrics:
            problems.append(f"scores {name!r} without a definition")
            continue
        # The bounds of a registered metric are trusted. Those in the record are the submitter's.
        low, high = registered[name].bounds if name in registered else record.metrics[name].bounds
        invalid = [
            value
            for value in (min_value, max_value)
            if value < low - BOUND_TOLERANCE or value > high + BOUND_TOLERANCE or math.isinf(value)
        ]
        if invalid:
            problems.append(f"score {invalid[0]:g} of {name} is out of bounds [{low:g}, {high:g}]")
    return problems


def _check_summary(record: Record, scores: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    """The summary in the record must follow from the files."""
    maps = record.external_maps
    computed: dict[str, float] = {}
    if maps is None or maps.predictions != "none":
        computed["accuracy"] = float((predictions["label"] == predictions["predicted"]).mean())
    for (method, level, metric), value in mean_scores(scores):
        computed[f"{maps.method if maps else method}: {metric} ({level})"] = value
    for name, value in computed.items():
        reported = record.summary.get(name)
        if reported is None and not math.isfinite(value):
            continue
        if not isinstance(reported, int | float) or not math.isclose(reported, value, abs_tol=1e-6, rel_tol=1e-6):
            return [f"summary says {reported} of {name}, its files say {value:.6g}"]
    return []
