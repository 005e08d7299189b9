"""Verifies the scores of a record: some of its test images are scored again with its checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from architectures import Architecture
from benchmark import __version__
from benchmark.config.presets import load_preset
from benchmark.data.dataset import ImageDataset, prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from benchmark.experiments.cell import compute_predictions, score_method_maps
from benchmark.experiments.cell_reliance import list_test_names
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import load_split
from benchmark.leaderboard.admission.fields import REMEDY
from benchmark.registry import select
from benchmark.runtime.device import use_exact_arithmetic
from benchmark.runtime.environment import environment
from benchmark.runtime.layout import place
from benchmark.saliency import Method
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, ROBUST_PREFIX
from benchmark.storage.hashing import file_digest
from benchmark.storage.ledger import enter_verification
from benchmark.storage.lock import writing
from benchmark.storage.record import Record, Verification, load_record
from benchmark.storage.results import PROTOCOL_FILE, SPLIT_FILE, all_record_files, record_files, sidecar_file
from benchmark.storage.runs import model_histories, runs_dir
from benchmark.submission.checks.comparison import KEY_COLUMNS, compare, first_by_hash
from benchmark.submission.checks.drawing import describe_draw, draw_images
from benchmark.submission.checks.report import CheckReport
from benchmark.submission.entries import ENTRIES_DIR, load_entry, own_files
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import Scores
from benchmark.training.checkpoint import class_order, load_weights, reorder_logits
from benchmark.training.regimes import Regime

COMPARED = (ROBUST_PREFIX, MAP_OVERLAP_PREFIX)
"""Prefixes of the columns of attacks that are compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RescoreOptions:
    """How the scores of records are verified.

    Attributes:
        checkpoint: File of the weights. None searches for it by its SHA-256.
        data: Directory of the data set. None is the embedded one.
        layout: Its layout. None detects it.
        sample_size: Number of test images to score again. None finds a forgery of 10 % of them with probability 0.99,
            0 means all.
        entries: A directory of entries, in addition to that of the repository.
        mark_verified: Whether to enter a record whose scores were verified into the ledger of its directory.
    """

    checkpoint: Path | None = None
    data: Path | None = None
    layout: str | None = None
    sample_size: int | None = None
    entries: Path | None = None
    mark_verified: bool = False


def verify_scores(report: CheckReport, worker: Worker, limits: Limits, options: RescoreOptions) -> CheckReport:
    """Scores some test images of a record again, in a child process.

    Without the weights nothing can be verified. The report then comes back as it is.

    Args:
        report: Report of the record, without problems but that nobody verified it.
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
    weights = _find_weights(record, entry, options)
    if weights is None:
        return report
    if line := _check_weights(report.path, record, weights):
        return replace(report, problems=[*report.problems, line])
    every = read_image_names(report.path)
    images = draw_images(every, options.sample_size)
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
    verification = verification.model_copy(update={"finds": describe_draw(len(every), len(images))})
    if outcome.result.key and outcome.result.key != record.key:
        problems.append("its key is not that of its settings, data and code")
    return _conclude(report, verification, problems, mark=options.mark_verified)


def read_image_names(path: Path) -> list[str]:
    """Reads the names of the test images of a record."""
    return list(pd.read_parquet(sidecar_file(path, "predictions.parquet"), columns=["image"])["image"].astype(str))


def _find_weights(record: Record, entry: Path | None, options: RescoreOptions) -> Path | None:
    """Finds the weights of a record. None where nothing can be verified.

    Raises:
        UserError: The file that was given does not exist.
    """
    is_unknown = record.submission is not None and entry is None
    if record.external_maps is not None or is_unknown:
        return None
    weights = options.checkpoint or find_checkpoint(record, entry)
    if weights is not None and not weights.is_file():
        raise UserError(f"--checkpoint: {weights} does not exist; give a safetensors file")
    return weights


def _check_weights(path: Path, record: Record, weights: Path) -> str:
    """Returns the reason why weights are not those of a record alone. Empty if they are."""
    if file_digest(weights) != record.training.sha256:
        return f"{weights.name} has another SHA-256 than the weights that the record names"
    owner = find_other_owner(path, record)
    return f"its weights are those of {owner}; weights belong to one model, regime and seed" if owner else ""


def _conclude(report: CheckReport, verification: Verification, problems: list[str], *, mark: bool) -> CheckReport:
    """Adds the outcome to a report, and to the ledger where that is asked for."""
    badge = "refused" if problems else "verified"
    facts = report.facts | {"scores": verification.scores, "badge": badge, "finds": verification.finds}
    if problems:
        return replace(report, problems=[*report.problems, *problems], facts=facts)
    if mark:
        _enter(report.path, verification)
    return replace(report, problems=[] if mark else report.problems, facts=facts)


def _enter(path: Path, verification: Verification) -> None:
    """Enters a record into the ledger of its results directory."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    stated = {"record": path.name, "when": when, "version": __version__}
    with writing(path.parent.parent):
        enter_verification(path, verification.model_copy(update=stated))


def is_only_unverified(problems: Sequence[str]) -> bool:
    """Returns whether a verification answers all that is held against a record."""
    return all(REMEDY in line for line in problems)


def find_other_owner(path: Path, record: Record) -> str:
    """Finds a record of another model, regime or seed with the same weights, in any results directory."""
    own = record.architecture, record.regime, record.seed
    for other in {*all_record_files(), *record_files(path.parent.parent)} - {path}:
        try:
            theirs = load_record(other)
        except (OSError, ValueError):
            continue
        is_other = (theirs.architecture, theirs.regime, theirs.seed) != own
        if is_other and theirs.training.sha256 == record.training.sha256:
            return f"{theirs.architecture}/{theirs.regime}, seed {theirs.seed}"
    return ""


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
        probabilities. "truth": rows of image, label and group. "attacks": columns of the attacks, in the same order.
        "environment": versions and machine. "key": the key of its settings, empty if unknown.

    Raises:
        UserError: The weights or the data differ from those of the record, or the protocol has changed since.
    """
    use_exact_arithmetic()
    stored = load_record(Path(record))
    architecture = load_entry(Path(entry)) if entry else select(Architecture, [stored.architecture])[0]
    job = _build_job(stored, architecture, Path(record).parent.parent, source)
    part = _select_part(job, images)
    model = architecture.build(len(stored.classes))
    load_weights(model, Path(checkpoint), whole=True)
    if architecture.checkpoint is not None:
        model = reorder_logits(model, class_order(architecture.checkpoint, stored.classes))
    model = place(model, torch.device("cpu")).eval()
    tested = load_split(part, "test")
    pixels, predictions = tested.images, compute_predictions(part, model, tested)
    predicted = torch.tensor(predictions["predicted"].to_numpy())
    frames, placement = [], get_placement(architecture, job.size, job.preset.alignment, model, job.target_layer)
    for method in select(Method, stored.methods):
        maps = compute_maps(model, job.target_layer, pixels, predicted, method, placement)
        frames.append(score_method_maps(part, model, pixels, predictions, maps=maps, method=method)[0])
    scores = pd.concat(frames, ignore_index=True)[[*KEY_COLUMNS, "value"]]
    return {
        "scores": scores.to_numpy(dtype=object).tolist(),
        "predictions": _to_rows(predictions, [f"p{index}" for index in range(len(stored.classes))]),
        "truth": _to_rows(predictions, ["label", "group"]),
        "attacks": {str(name): predictions[name].tolist() for name in predictions if str(name).startswith(COMPARED)},
        "environment": environment(part.device),
        "key": _find_key(job, stored),
    }


def _to_rows(frame: pd.DataFrame, columns: list[str]) -> list[list[Any]]:
    return [list(row) for row in frame[["image", *columns]].itertuples(index=False)]


def _find_key(job: Job, record: Record) -> str:
    """Computes the key that the settings of a record have with the code of today. Empty if it needs other files."""
    is_plain = job.weights in {"random", "pretrained"} or job.cell.architecture.checkpoint is not None
    if "start" in record.settings["training"] or not is_plain:
        return ""
    device = torch.device(str(record.environment["device"]))
    return replace(job, device=device, bfloat16=bool(record.settings["training"].get("bfloat16"))).key


def _select_part(job: Job, images: list[str]) -> Job:
    """Restricts a job to some test images, of which as many are perturbed and attacked as of all.

    A setting of 0 is invalid, so at least one is. The comparison leaves it out.
    """
    names = list_test_names(job.data)

    def count(all_of: int | None) -> int:
        return len(first_by_hash(names, all_of) & set(images))

    preset = job.preset
    part = replace(
        preset,
        num_perturbed=max(1, count(preset.num_perturbed)),
        num_attacked=max(1, count(preset.num_attacked)),
        num_map_attacked=max(1, count(preset.num_map_attacked)) if preset.num_map_attacked else 0,
    )
    return replace(job, data=_select_images(job.data, images), preset=part)


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
