"""Verifies the scores of a record: some of its test images are scored again with its checkpoint."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from architectures import Architecture
from benchmark.config.presets import load_preset
from benchmark.data.dataset import ImageDataset, prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from benchmark.experiments.cell import score_method_maps
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.registry import select
from benchmark.runtime.device import use_exact_arithmetic
from benchmark.runtime.environment import environment
from benchmark.runtime.layout import place
from benchmark.runtime.randomness import seeded_generator
from benchmark.runtime.tensors import on_device, predict
from benchmark.saliency import Method
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Record, Verification, load_record, write_record
from benchmark.storage.results import PROTOCOL_FILE, SPLIT_FILE, sidecar_file
from benchmark.storage.runs import model_histories, runs_dir
from benchmark.storage.upgrade import upgrade_scores
from benchmark.submission.checks.report import CheckReport
from benchmark.submission.entries import ENTRIES_DIR, load_entry, own_files
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import Scores
from benchmark.training.checkpoint import class_order, load_weights, reorder_logits
from benchmark.training.regimes import Regime

KEY_COLUMNS = ["image", "method", "metric", "level", "rater", "characteristic"]
MIN_TOLERANCE, MAX_TOLERANCE = 1e-3, 1e-2
"""Bounds of the tolerated difference of means, as fractions of the metric's range."""
PREDICTION_MARGIN = 0.02
"""Two classes whose probabilities are closer than this may swap on another machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RescoreOptions:
    """How the scores of records are verified.

    Attributes:
        checkpoint: File of the weights. None searches for it by its SHA-256.
        data: Directory of the data set. None is the embedded one.
        layout: Its layout. None detects it.
        sample_size: Number of test images to score again. 0 means all.
        entries: A directory of entries, in addition to that of the repository.
        mark_verified: Whether to write into a record that its scores were verified.
    """

    checkpoint: Path | None = None
    data: Path | None = None
    layout: str | None = None
    sample_size: int = 8
    entries: Path | None = None
    mark_verified: bool = False


def verify_scores(report: CheckReport, worker: Worker, limits: Limits, options: RescoreOptions) -> CheckReport:
    """Scores some test images of a record again, in a child process.

    Without the weights nothing can be verified. The report then comes back as it is.

    Args:
        report: Report of the record, without problems.
        worker: Runs the code of its entry.
        limits: Limits of the child.
        options: Weights, data and number of images.

    Returns:
        The report, with "scores" (reported, scored again, tolerance) and the badge among the facts.

    Raises:
        UserError: The file of the weights does not exist.
    """
    record = load_record(report.path)
    entry = find_entry(record, options.entries)
    weights = options.checkpoint or find_checkpoint(record, entry)
    if record.submission is not None and entry is None:
        weights = None
    if weights is None:
        return report
    if not weights.is_file():
        raise UserError(f"--checkpoint: {weights} does not exist; give a safetensors file")
    if file_digest(weights) != record.training.sha256:
        line = f"{weights.name} has another SHA-256 than the weights that the record names"
        return replace(report, problems=[*report.problems, line])
    images = draw_images(report.path, record, options.sample_size)
    arguments = {
        "record": str(report.path.resolve()),
        "entry": str(entry) if entry else None,
        "checkpoint": str(weights.resolve()),
        "images": images,
        "source": {"directory": str(options.data.resolve()) if options.data else None, "layout": options.layout},
    }
    runs_dir().mkdir(parents=True, exist_ok=True)
    read = [report.path.resolve().parent.parent, weights.resolve()]
    read += [*([options.data.resolve()] if options.data else []), *(own_files(entry) if entry else [])]
    if entry is None or entry.suffix == ".toml":
        limits = replace(limits, trust=True)  # no code of a stranger
    outcome = worker.run("rescore", arguments, limits, Scores, readable=read, writable=[runs_dir()])
    if outcome.result is None:
        line = f"its scores could not be verified: {outcome.error}"
        return replace(report, warnings=[*report.warnings, line])
    verification, problems = compare(report.path, record, outcome.result, images)
    facts = report.facts | {"scores": verification.scores, "badge": "self-reported" if problems else "verified"}
    if options.mark_verified and not problems:
        marked = record.model_copy(update={"badge": "verified", "verification": verification})
        write_record(report.path, marked)
    return replace(report, problems=[*report.problems, *problems], facts=facts)


def find_checkpoint(record: Record, entry: Path | None) -> Path | None:
    """Finds the weights of a record by their SHA-256 among the runs, or by name in the directory of its entry."""
    for history in model_histories():
        file = history.with_name("model.safetensors")
        names_it = f'"{record.training.sha256}"' in history.read_text(encoding="utf-8", errors="replace")
        if names_it and file.is_file() and file_digest(file) == record.training.sha256:
            return file
    name = str(record.submission.checkpoint.get("file", "")) if record.submission else ""
    directories = [ENTRIES_DIR, *([entry.parent] if entry else [])]
    candidates = [directory / Path(name).name for directory in directories if name]
    return next((path for path in candidates if path.is_file()), None)


def find_entry(record: Record, directory: Path | None) -> Path | None:
    """Finds the entry file of a submitted record in the directories of entries."""
    if record.submission is None:
        return None
    candidates = [root / Path(record.submission.entry).name for root in (ENTRIES_DIR, directory) if root]
    return next((path.resolve() for path in candidates if path.is_file()), None)


def draw_images(path: Path, record: Record, count: int) -> list[str]:
    """Draws test images. The seed follows from the reported scores, so that nobody can choose the images.

    Args:
        path: Path of the record.
        record: The record.
        count: Number of images. 0 means all.

    Returns:
        Their names, sorted.
    """
    names = sorted(pd.read_parquet(sidecar_file(path, "predictions.parquet"), columns=["image"])["image"])
    scores = file_digest(sidecar_file(path, "scores.parquet"))
    if not count or count >= len(names):
        return names
    generator = seeded_generator(f"{record.key} {scores}")
    return [names[index] for index in sorted(generator.choice(len(names), size=count, replace=False))]


def rescore(
    record: str, entry: str | None, checkpoint: str, images: list[str], source: dict[str, str | None]
) -> dict[str, Any]:
    """Scores some test images again. Runs in the child: see :mod:`benchmark.submission.sandbox.worker`.

    Args:
        record: Path of the record.
        entry: Path of the submitted entry. None where the architecture is registered.
        checkpoint: Path of the weights.
        images: Names of the test images to score.
        source: directory and layout of the data.

    Returns:
        "scores": rows of the columns of :data:`KEY_COLUMNS` and the value. "predictions": rows of image and
        probabilities. "environment": versions and machine.

    Raises:
        UserError: The weights or the data differ from those of the record, or the protocol has changed since.
    """
    use_exact_arithmetic()
    stored = load_record(Path(record))
    architecture = load_entry(Path(entry)) if entry else select(Architecture, [stored.architecture])[0]
    job = _build_job(stored, architecture, Path(record).parent.parent, source)
    part = replace(job, data=_select_images(job.data, images))
    model = architecture.build(len(stored.classes))
    load_weights(model, Path(checkpoint), whole=True)
    if architecture.checkpoint is not None:
        model = reorder_logits(model, class_order(architecture.checkpoint, stored.classes))
    model = place(model, torch.device("cpu")).eval()
    pixels = on_device(part.data.images[part.data.test], part.device)
    probabilities = predict(model, pixels)
    names = part.data.samples["id"].to_numpy()[part.data.test]
    predictions = pd.DataFrame({"image": names, "predicted": probabilities.argmax(dim=1).numpy()})
    frames, placement = [], get_placement(architecture, job.size, job.preset.alignment, model, job.target_layer)
    for method in select(Method, stored.methods):
        maps = compute_maps(model, job.target_layer, pixels, probabilities.argmax(dim=1), method, placement)
        frames.append(score_method_maps(part, model, pixels, predictions, maps=maps, method=method)[0])
    scores = pd.concat(frames, ignore_index=True)[[*KEY_COLUMNS, "value"]]
    return {
        "scores": scores.to_numpy(dtype=object).tolist(),
        "predictions": [[str(name), *row] for name, row in zip(names, probabilities.tolist(), strict=True)],
        "environment": environment(part.device),
    }


def compare(path: Path, record: Record, found: Scores, images: list[str]) -> tuple[Verification, list[str]]:
    """Compares reported scores with those of :func:`rescore`, as means over the same images.

    The tolerance is half of the 95 % interval of the reported mean, but at least a thousandth and at most a
    hundredth of the metric's range.

    Args:
        path: Path of the record.
        record: The record.
        found: Result of :func:`rescore`.
        images: The requested images.

    Returns:
        The verification for the record, and one line for each disagreement.
    """
    rescored = pd.DataFrame(found.scores, columns=[*KEY_COLUMNS, "value"]).astype({"value": np.float64})
    reported = upgrade_scores(pd.read_parquet(sidecar_file(path, "scores.parquet")))
    both = reported.merge(rescored, on=KEY_COLUMNS, suffixes=("", "_again"))
    problems = _compare_predictions(path, found.predictions)
    if set(rescored["image"]) != set(images):
        problems.append("scored other images than requested")
    scores = {}
    for (method, metric, level), rows in both.groupby(["method", "metric", "level"]):
        name = f"{method}: {metric} ({level})"
        old, new = rows["value"].to_numpy(), rows["value_again"].to_numpy()
        if (np.isnan(old) != np.isnan(new)).any():
            problems.append(f"{name}: scores are undefined on other images")
        valid = ~np.isnan(old) & ~np.isnan(new)
        if not valid.any():
            continue
        matches = (reported["method"] == method) & (reported["metric"] == metric) & (reported["level"] == level)
        values = reported.loc[matches, "value"].dropna().to_numpy()
        tolerance = _compute_tolerance(record.metrics[str(metric)].bounds, values)
        scores[name] = (float(old[valid].mean()), float(new[valid].mean()), tolerance)
        if abs(scores[name][0] - scores[name][1]) > tolerance:
            text = "reports {:.4f}, its checkpoint gives {:.4f} on the same images".format(*scores[name])
            problems.append(f"{name}: {text}")
    if not scores:
        problems.append("has no score that could be verified")
    return Verification(images=tuple(images), scores=scores, environment=found.environment), problems


def _build_job(record: Record, architecture: Architecture, directory: Path, source: dict[str, str | None]) -> Job:
    """Rebuilds the cell of a record on the local data, with the split in its results directory."""
    preset = load_preset(record.settings["preset"])
    split = directory / SPLIT_FILE
    if not split.is_file() or record.protocol not in (directory / PROTOCOL_FILE).read_text(encoding="utf-8"):
        raise UserError(f"{directory} has no split of protocol {record.protocol}; run it again")
    root = source["directory"]
    data = load_index(Source(directory=Path(root) if root else None, layout=source["layout"]))
    prepared = prepare_dataset(data, preset, classes=record.classes, manifest=split)
    regime = select(Regime, [record.regime])[0]
    cell = Cell(architecture=architecture, regime=regime, seed=record.seed, variant=record.variant)
    original_device = torch.device(str(record.environment["device"]))
    staged = "start" in record.settings["training"]
    job = Job(cell=cell, data=prepared, preset=preset, device=original_device)
    # After --pretrain the protocol depends on a data set that is not at hand here, so it cannot be compared.
    if not staged and job.protocol != record.protocol:
        raise UserError("the data, metrics or methods differ from those of the record; run it again")
    return replace(job, device=torch.device("cpu"))


def _select_images(data: ImageDataset, images: list[str]) -> ImageDataset:
    """Restricts the test split to some images. Everything else stays."""
    split = data.samples["split"].where(
        (data.samples["split"] != "test") | data.samples["id"].isin(images), "not scored"
    )
    if int((split == "test").sum()) != len(images):
        raise UserError("the data at hand lacks test images of the record")
    return replace(data, samples=data.samples.assign(split=split))


def _compare_predictions(path: Path, rescored: list[list[Any]]) -> list[str]:
    """Returns one line if clear predictions differ from the reported ones."""
    reported = pd.read_parquet(sidecar_file(path, "predictions.parquet")).set_index("image")
    differing = []
    for image, *probabilities in rescored:
        first, second = sorted(probabilities, reverse=True)[:2]
        same = int(reported.loc[image, "predicted"]) == int(np.argmax(probabilities))
        if not same and first - second > PREDICTION_MARGIN:
            differing.append(image)
    if not differing:
        return []
    return [f"its checkpoint predicts another class for {differing[0]} and {len(differing) - 1} more"]


def _compute_tolerance(bounds: tuple[float, float], values: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    width = bounds[1] - bounds[0]
    if not np.isfinite(width):
        width = float(np.ptp(values)) or 1.0
    half_interval = 1.96 * float(values.std()) / max(1, len(values)) ** 0.5
    return max(MIN_TOLERANCE * width, min(MAX_TOLERANCE * width, half_interval))
