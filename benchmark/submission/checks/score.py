"""Whether a record's scores are those that its checkpoint gives: some of its test images are scored again."""

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
from benchmark.runtime.randomness import seeded_generator
from benchmark.runtime.tensors import on_device, predict
from benchmark.saliency import Method
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.storage.files import write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Record, Verification, load_record
from benchmark.storage.results import PROTOCOL_FILE, SPLIT_FILE
from benchmark.storage.runs import model_histories, runs_dir
from benchmark.storage.upgrade import upgrade_scores
from benchmark.submission.checks.report import CheckReport
from benchmark.submission.entries import HOME, load_entry
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import Limits
from benchmark.training.checkpoint import class_order, load_weights, reorder_logits
from benchmark.training.regimes import Regime

NAMES = ["image", "method", "metric", "level", "rater", "characteristic"]
FINE, COARSE = 1e-3, 1e-2
"""How far means may differ, as shares of the metric's range: always, and where the interval is wide enough."""
MARGIN = 0.02
"""Probabilities that lie nearer to each other may change places on another machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RescoreOptions:
    """What a claim is held against.

    Attributes:
        checkpoint: The weights; None has them looked for.
        data: Directory of the data set; None is the embedded one.
        layout: Its layout; None has it chosen by its look.
        images: So many test images are scored again; 0 takes all.
        entries: Directory of entries, beside that of the repository.
        stamp: Whether a record that holds is marked as verified.
    """

    checkpoint: Path | None = None
    data: Path | None = None
    layout: str | None = None
    images: int = 8
    entries: Path | None = None
    stamp: bool = False


def check_claim(found: CheckReport, worker: Worker, limits: Limits, evidence: RescoreOptions) -> CheckReport:
    """Scores a part of a record again where its weights are at hand, in a child process; else it stays a claim.

    Args:
        found: What was found in the record so far; no problems.
        worker: Runs the code of its entry.
        limits: What that may take.
        evidence: What the claim is held against.

    Returns:
        What was found, with "scores" (reported, scored again, tolerance) and the badge among the facts.
    """
    record = load_record(found.path)
    entry = find_entry(record, evidence.entries)
    weights = evidence.checkpoint or find_checkpoint(record, entry)
    if record.submission is not None and entry is None:
        weights = None
    if weights is None:
        return found
    if not weights.is_file():
        raise UserError(f"--checkpoint: {weights} does not exist; give a safetensors file")
    if file_digest(weights) != record.training.sha256:
        line = f"{weights.name} has another SHA-256 than the weights that the record names"
        return replace(found, problems=[*found.problems, line])
    images = draw_images(found.path, record, evidence.images)
    given = {
        "record": str(found.path.resolve()),
        "entry": str(entry) if entry else None,
        "checkpoint": str(weights.resolve()),
        "images": images,
        "source": {"folder": str(evidence.data.resolve()) if evidence.data else None, "layout": evidence.layout},
    }
    runs_dir().mkdir(parents=True, exist_ok=True)
    outcome = worker.ask("rescore", given, limits, writable=[runs_dir()])
    if outcome.refused:
        line = f"its scores could not be verified: {outcome.refused}"
        return replace(found, warnings=[*found.warnings, line])
    told, problems = compare(found.path, record, outcome.found, images)
    facts = found.facts | {"scores": told.scores, "badge": "self-reported" if problems else "verified"}
    if evidence.stamp and not problems:
        marked = record.model_copy(update={"badge": "verified", "verification": told})
        write_text(found.path, marked.model_dump_json(indent=1) + "\n")
    return replace(found, problems=[*found.problems, *problems], facts=facts)


def find_checkpoint(record: Record, entry: Path | None) -> Path | None:
    """The file of the weights that a record was made with, by its SHA-256: among the runs, or beside its entry."""
    for told in model_histories():
        file = told.with_name("model.safetensors")
        if f'"{record.training.sha256}"' in told.read_text(encoding="utf-8") and file.is_file():
            return file
    name = str(record.submission.checkpoint.get("file", "")) if record.submission else ""
    directories = [HOME, *([entry.parent] if entry else [])]
    places = [directory / Path(name).name for directory in directories if name]
    return next((place for place in places if place.is_file()), None)


def find_entry(record: Record, directory: Path | None) -> Path | None:
    """The entry file of a record from outside, where it lies in a directory of entries."""
    if record.submission is None:
        return None
    places = [place / Path(record.submission.entry).name for place in (HOME, directory) if place]
    return next((place.resolve() for place in places if place.is_file()), None)


def draw_images(path: Path, record: Record, count: int) -> list[str]:
    """Names of some of the test images, drawn by what the record claims; 0 takes all."""
    names = sorted(pd.read_parquet(path.with_name(f"{path.stem}.predictions.parquet"), columns=["image"])["image"])
    scores = file_digest(path.with_name(f"{path.stem}.scores.parquet"))
    if not count or count >= len(names):
        return names
    draw = seeded_generator(f"{record.key} {scores}")
    return [names[place] for place in sorted(draw.choice(len(names), size=count, replace=False))]


def rescore(
    record: str, entry: str | None, checkpoint: str, images: list[str], source: dict[str, str | None]
) -> dict[str, Any]:
    """Scores some test images again. Runs in the child: see :mod:`benchmark.submission.sandbox.worker`.

    Args:
        record: Path of the record.
        entry: Path of the entry from outside; None where the architecture is registered.
        checkpoint: Path of the weights.
        images: Names of the test images to take.
        source: directory and layout of the data.

    Returns:
        "scores", rows of the columns of :data:`NAMES` and the value, "predictions", rows of image and probabilities,
        and "environment".

    Raises:
        UserError: The weights or the data are others, or today's code scores in another way.
    """
    use_exact_arithmetic()
    told = load_record(Path(record))
    architecture = load_entry(Path(entry)) if entry else select(Architecture, [told.architecture])[0]
    job = _job(told, architecture, Path(record).parent.parent, source)
    part = replace(job, data=_part(job.data, images))
    model = architecture.build(len(told.classes))
    load_weights(model, Path(checkpoint), whole=True)
    if architecture.checkpoint is not None:
        model = reorder_logits(model, class_order(architecture.checkpoint, told.classes))
    model = model.to(memory_format=torch.channels_last).eval()
    pixels = on_device(part.data.images[part.data.test], part.device)
    chances = predict(model, pixels)
    names = part.data.samples["id"].to_numpy()[part.data.test]
    predictions = pd.DataFrame({"image": names, "predicted": chances.argmax(dim=1).numpy()})
    found, place = [], get_placement(architecture, job.size, job.preset.alignment)
    for method in select(Method, told.methods):
        maps = compute_maps(model, architecture.target_layer, pixels, chances.argmax(dim=1), method, place)
        found.append(score_method_maps(part, model, pixels, predictions, maps=maps, method=method)[0])
    scores = pd.concat(found, ignore_index=True)[[*NAMES, "value"]]
    return {
        "scores": scores.to_numpy(dtype=object).tolist(),
        "predictions": [[str(name), *row] for name, row in zip(names, chances.tolist(), strict=True)],
        "environment": environment(part.device),
    }


def compare(path: Path, record: Record, told: dict[str, Any], images: list[str]) -> tuple[Verification, list[str]]:
    """Reported scores against those scored again.

    Two means over the same images may differ by a hundredth of the metric's range where the 95 % interval of the
    claimed mean is at least as wide, otherwise by the half of that interval, but always by a thousandth.

    Args:
        path: Path of the record.
        record: The record.
        told: What :func:`rescore` returned.
        images: The images that were asked for.

    Returns:
        What was recomputed, and one line for each thing that does not agree.
    """
    again = pd.DataFrame(told["scores"], columns=[*NAMES, "value"]).astype({"value": np.float64})
    claimed = upgrade_scores(pd.read_parquet(path.with_name(f"{path.stem}.scores.parquet")))
    both = claimed.merge(again, on=NAMES, suffixes=("", "_again"))
    problems = _predicted_otherwise(path, told["predictions"])
    if set(again["image"]) != set(images):
        problems.append("scored other images than it was asked for")
    scores = {}
    for (method, metric, level), rows in both.groupby(["method", "metric", "level"]):
        name = f"{method}: {metric} ({level})"
        one, other = rows["value"].to_numpy(), rows["value_again"].to_numpy()
        if (np.isnan(one) != np.isnan(other)).any():
            problems.append(f"{name}: scores are undefined on other images")
        known = ~np.isnan(one) & ~np.isnan(other)
        if not known.any():
            continue
        whole = claimed[(claimed["method"] == method) & (claimed["metric"] == metric) & (claimed["level"] == level)]
        may = _tolerance(record.metrics[str(metric)].bounds, whole["value"].dropna().to_numpy())
        scores[name] = (float(one[known].mean()), float(other[known].mean()), may)
        if abs(scores[name][0] - scores[name][1]) > may:
            text = "claims {:.4f}, its checkpoint gives {:.4f} on the same images".format(*scores[name])
            problems.append(f"{name}: {text}")
    if not scores:
        problems.append("has no score that could be scored again")
    return Verification(images=tuple(images), scores=scores, environment=told["environment"]), problems


def _job(record: Record, architecture: Architecture, directory: Path, source: dict[str, str | None]) -> Job:
    """The cell of a record on the data at hand, with the split that lies beside the tables."""
    preset = load_preset(record.settings["preset"])
    split = directory / SPLIT_FILE
    if not split.is_file() or record.protocol not in (directory / PROTOCOL_FILE).read_text(encoding="utf-8"):
        raise UserError(f"{directory} has no split of protocol {record.protocol}; run it again")
    where = source["folder"]
    data = load_index(Source(directory=Path(where) if where else None, layout=source["layout"]))
    prepared = prepare_dataset(data, preset, classes=record.classes, manifest=split)
    cell = Cell(architecture=architecture, regime=select(Regime, [record.regime])[0], seed=record.seed)
    made_on = torch.device(str(record.environment["device"]))
    staged = "start" in record.settings["training"]
    job = Job(cell=cell, data=prepared, preset=preset, device=made_on)
    if not staged and job.protocol != record.protocol:
        raise UserError("the data or today's metrics and methods are others than it was made with; run it again")
    return replace(job, device=torch.device("cpu"))


def _part(data: ImageDataset, images: list[str]) -> ImageDataset:
    """The same data with these test images alone."""
    split = data.samples["split"].where(
        (data.samples["split"] != "test") | data.samples["id"].isin(images), "not scored"
    )
    if int((split == "test").sum()) != len(images):
        raise UserError("the data at hand lacks test images of the record")
    return replace(data, samples=data.samples.assign(split=split))


def _predicted_otherwise(path: Path, told: list[list[Any]]) -> list[str]:
    """One line if clear predictions are not those that were claimed."""
    frame = pd.read_parquet(path.with_name(f"{path.stem}.predictions.parquet")).set_index("image")
    wrong = []
    for image, *chances in told:
        first, second = sorted(chances, reverse=True)[:2]
        if int(frame.loc[image, "predicted"]) != int(np.argmax(chances)) and first - second > MARGIN:
            wrong.append(image)
    return [f"its checkpoint predicts another class for {wrong[0]} and {len(wrong) - 1} more"] if wrong else []


def _tolerance(bounds: tuple[float, float], values: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    width = bounds[1] - bounds[0]
    if not np.isfinite(width):
        width = float(np.ptp(values)) or 1.0
    interval = 1.96 * float(values.std()) / max(1, len(values)) ** 0.5
    return max(FINE * width, min(COARSE * width, interval))
