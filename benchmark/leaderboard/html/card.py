"""The card of a model on the page: provenance, confusion matrix, training and scores."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.escaping import unescape_csv
from benchmark.leaderboard.analysis.provenance import (
    describe_duplicates,
    describe_origin,
    describe_split,
    repeat_command,
)
from benchmark.leaderboard.html.charts import Curve, build_loss_curve
from benchmark.leaderboard.html.page_input import digits
from benchmark.leaderboard.html.perturbation_curves import PerturbationPanel
from benchmark.leaderboard.load.badges import describe_badge
from benchmark.leaderboard.load.predictions import read_classes
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.table import Row
from benchmark.storage.record import Alignment, ExternalMaps, Record
from benchmark.storage.results import find_sidecar_file, sidecar_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """Confusion matrix over all seeds: per class a row of counts and their fractions of the row."""

    classes: tuple[str, ...]
    rows: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A model's card.

    Attributes:
        row: Its row.
        record: Record of its first seed.
        provenance: Pairs of a name and a value. Values that differ by seed are joined.
        command: Command that reproduces it.
        confusion: Its confusion matrix.
        curve: Its loss curves. None where the records have none.
        perturbed: Its mean perturbation curves by saliency method. Empty where the records have none.
        measures: Rows of classification.csv of its first seed: measure, class, value and interval. Empty without any.
    """

    row: Row
    record: Record
    provenance: tuple[tuple[str, str], ...]
    command: str
    confusion: Confusion
    curve: Curve | None
    perturbed: tuple[PerturbationPanel, ...]
    measures: tuple[tuple[str, str, str, str], ...]


def build_card(row: Row, published: ResultsDirectory, perturbed: Sequence[PerturbationPanel] = ()) -> Card:
    """Builds the card of a model.

    Args:
        row: The model.
        published: The records.
        perturbed: Its perturbation curves.
    """
    runs = sorted(
        (
            (published.records[path], path)
            for path in published.models[row.name, row.regime]
            if published.records[path].seed in row.seeds
        ),
        key=lambda run: run[0].seed,
    )
    records = [record for record, _ in runs]
    paths = [path for _, path in runs]
    return Card(
        row=row,
        record=records[0],
        provenance=tuple(_provenance(records)),
        command=repeat_command(records),
        confusion=_confusion(paths, records[0].classes),
        curve=build_loss_curve([r.training.losses for r in records], [r.training.validation for r in records]),
        perturbed=tuple(perturbed),
        measures=tuple(_measures(paths[0])),
    )


def _provenance(records: Sequence[Record]) -> list[tuple[str, str]]:
    first = records[0]
    environment, training = first.environment, first.settings.get("training", {})
    packages = environment.get("packages", {})
    changed = " with uncommitted changes" if environment.get("uncommitted_changes") else ""
    machine = environment.get("accelerator") or environment.get("processor")
    if first.external_maps is not None:
        return _maps_provenance(first, first.external_maps)
    return [
        ("status", _join(map(describe_badge, records))),
        ("seed", _join(record.seed for record in records)),
        ("key", _join(record.key for record in records)),
        ("weights, SHA-256", _join(record.training.sha256 for record in records)),
        ("started from", _join(map(describe_origin, records))),
        ("split", describe_split(first) or "unknown: the record is of an older version"),
        ("look-alike images", _join(map(describe_duplicates, records))),
        ("protocol", first.protocol),
        ("commit", f"{environment.get('commit')}{changed}"),
        ("images", ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in first.images.items())),
        ("training", _settings(training)),
        ("preset", _settings(first.settings.get("preset", {}))),
        ("best epoch", _join(f"{r.training.best} of {len(r.training.losses)}" for r in records)),
        ("alignment", _describe_alignment(first.alignment)),
        ("parameters", f"{first.parameters:,}"),
        ("duration", _join(_times(record.seconds) for record in records)),
        ("machine", f"{machine}, {environment.get('device')}, {environment.get('threads')} threads"),
        ("versions", ", ".join([f"python {environment.get('python')}", *(f"{n} {v}" for n, v in packages.items())])),
    ]


def _maps_provenance(record: Record, maps: ExternalMaps) -> list[tuple[str, str]]:
    """Lists what is known of maps from elsewhere."""
    counts = {
        "missing": maps.missing,
        "surplus": maps.surplus,
        "not finite": maps.not_finite,
        "constant": maps.constant,
    }
    sizes = [f"{count} of {size}" for size, count in maps.sizes.items()]
    return [
        ("status", describe_badge(record)),
        ("method, by its owner", maps.method),
        ("maps", ", ".join([*sizes, *(f"{count} {name}" for name, count in counts.items() if count)])),
        ("maps, SHA-256", maps.sha256),
        ("predictions", maps.predictions),
        *([("network, SHA-256 of its weights", f"{maps.network}, {maps.checkpoint}")] if maps.network else []),
        *([("input and answers", f"{maps.normalization}, {maps.answers}")] if maps.normalization else []),
        ("key", record.key),
        ("protocol", record.protocol),
        ("commit", str(record.environment.get("commit"))),
        ("images", ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in record.images.items())),
    ]


def _join(values: Any) -> str:
    """Joins the values of the seeds without repetitions."""
    return "; ".join(dict.fromkeys(map(str, values)))


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_plain(value)}"
        for name, value in settings.items()
        if name not in {"name", "purpose"}
    )


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _describe_alignment(alignment: Alignment | None) -> str:
    if alignment is None:
        return "grids stretched over the image, as in all records of older versions"
    if alignment.displacement is None or alignment.outer_offset is None:
        return f"grid stretched over the image: {alignment.reason}"
    down, right = alignment.displacement
    outer = max(alignment.outer_offset)
    verb = "displaced" if alignment.method == "none" else "corrected"
    return f"{alignment.method}: {verb} by {down:.3g} px down and {right:.3g} px right, outer cells by {outer:.3g} px"


def _times(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{step} {value:.0f} s" for step, value in seconds.items())


def _confusion(paths: Sequence[Path], classes: tuple[str, ...]) -> Confusion:
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for path in paths:
        frame = read_classes(sidecar_file(path, "predictions.parquet"))
        frame = frame[frame["predicted"] >= 0]  # -1: unknown
        np.add.at(counts, (frame["label"].to_numpy(), frame["predicted"].to_numpy()), 1)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = (zip(row.tolist(), part.round(3).tolist(), strict=True) for row, part in zip(counts, fractions, strict=True))
    return Confusion(classes=classes, rows=tuple(tuple(row) for row in rows))


def _measures(record: Path) -> list[tuple[str, str, str, str]]:
    """Reads classification.csv. Returns no rows where it is absent or damaged, and the card says so."""
    try:
        with find_sidecar_file(record, "classification.csv").open(encoding="utf-8", newline="") as file:
            return [_measure(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []


def _measure(row: Mapping[str, str]) -> tuple[str, str, str, str]:
    value, low, high = (digits(float(row[name] or "nan")) for name in ("value", "low", "high"))
    return row["measure"], unescape_csv(row["of"]), value, f"{low} to {high}"
