"""Compares records from elsewhere with those that runs published here, and with one another."""

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmark.config.presets import Preset, load_preset
from benchmark.errors import UserError
from benchmark.leaderboard.admission.candidate import Candidate
from benchmark.leaderboard.admission.fields import REMEDY
from benchmark.leaderboard.admission.files import RecordTables
from benchmark.leaderboard.admission.predictions import compare_predictions
from benchmark.leaderboard.admission.scores import compare_scores
from benchmark.storage.house import TableFacts
from benchmark.storage.record import Record

SCORING = (
    *(
        "image_size",
        "aggregation",
        "methods",
        "metrics",
        "alignment",
        "grid_stride",
        "num_perturbed",
        "perturbation_steps",
    ),
    *("num_attacked", "attack_steps", "attack_eps", "apgd_steps", "autoattack", "num_map_attacked"),
)
"""Fields of a preset that every record of a protocol shares."""
TRAINING = ("weights", "epochs", "batch_size", "patience", "small_size", "full_size_epochs")
"""Fields that all but labeled variants share."""


def compare_with_run(record: Record, tables: RecordTables, own: Record, own_tables: RecordTables) -> Iterator[str]:
    """Compares a record from elsewhere with one that a run published here."""
    frame, own_frame = tables.predictions, own_tables.predictions
    if set(frame["image"]) != set(own_frame["image"]):
        yield "has other test images than the runs of this table"
        return
    both = frame.merge(own_frame, on="image", suffixes=("", "_own"))
    yield from (f"has other {name}s than the data of this table" for name in ("label", "group") if _differ(both, name))
    if record.external_maps is None:
        if record.metrics != own.metrics:
            yield "defines the metrics otherwise than the runs of this table"
        if record.methods != own.methods:
            yield "has other saliency methods than the runs of this table"
        if {name: record.images[name] for name in ("test", "perturbed", "attacked")} != {
            name: own.images[name] for name in ("test", "perturbed", "attacked")
        }:
            yield "has other numbers of images than the runs of this table"
        yield from compare_predictions(frame, own_frame)
    elif odd := [name for name, metric in record.metrics.items() if own.metrics.get(name) != metric]:
        yield f"defines {odd[0]!a} otherwise than the runs of this table"
    yield from compare_scores(record, tables.scores, own_tables.scores)


def _differ(both: pd.DataFrame, name: str) -> bool:
    return bool((both[name].to_numpy() != both[f"{name}_own"].to_numpy()).any())


def check_settings(candidates: Sequence[Candidate], facts: TableFacts | None, reference: Candidate | None) -> None:
    """A protocol has one set of settings. Records from elsewhere must have those of the harness."""
    settings = facts.settings if facts and facts.settings else reference.record.settings["preset"] if reference else {}
    try:
        own = load_preset(settings) if settings else None
    except UserError:  # of an earlier version with fields that are gone
        return
    for candidate in candidates:
        if own is not None and not candidate.is_made and not candidate.problems:
            candidate.problems += _compare_settings(candidate.record, own)


def _compare_settings(record: Record, own: Preset) -> Iterator[str]:
    try:
        theirs = load_preset(record.settings["preset"])
    except (UserError, TypeError) as error:
        yield str(error)
        return
    is_trained = record.external_maps is None and not record.variant
    for name in (*SCORING, *(TRAINING if is_trained else ())):
        if getattr(theirs, name) != getattr(own, name):
            yield f"has the protocol of this table, but {getattr(theirs, name)} as {name}, not {getattr(own, name)}"


def check_together(candidates: Sequence[Candidate]) -> None:
    """Records must not claim the place of others: their model and seed, key or weights."""
    valid = [each for each in candidates if not each.problems]
    for candidate in valid:
        if candidate.is_made:
            continue
        others = [each for each in valid if each is not candidate]
        candidate.problems += _check_place(candidate, others)


def _check_place(candidate: Candidate, others: Sequence[Candidate]) -> Iterator[str]:
    record = candidate.record
    for other in others:
        # What is verified gives way to nothing that is not.
        if candidate.is_verified and not (other.is_made or other.is_verified):
            continue
        theirs = other.record
        if _row(theirs) == _row(record) and theirs.seed == record.seed:
            yield f"has the model and seed of {other.path.name}; remove one of them"
        elif _row(theirs) == _row(record) and _is_above(other, candidate):
            yield f"is not verified, unlike {other.path.name} of the same row; {REMEDY}"
        elif theirs.key == record.key:
            yield f"has the key of {other.path.name}; remove one of them"
        elif _training(theirs) != _training(record) and theirs.training.sha256 == record.training.sha256 != "":
            yield f"has the weights of {other.path.name}, which is another model, regime or seed"


def _row(record: Record) -> tuple[str, str]:
    return record.architecture, record.training_name


def _training(record: Record) -> tuple[str, str, int]:
    """Returns what weights belong to: a labeled variant may score the same ones otherwise."""
    return record.architecture, record.regime, record.seed


def _is_above(other: Candidate, candidate: Candidate) -> bool:
    return (other.is_made or other.is_verified) and not candidate.is_verified
