"""Scores some test images of a record again, from its weights, as the run did that made it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from architectures import Architecture
from benchmark.config.presets import load_preset
from benchmark.data.dataset import ImageDataset, prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from benchmark.experiments.cell import compute_predictions, score_method_maps
from benchmark.experiments.cell_reliance import list_test_names
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import load_split
from benchmark.registry import select
from benchmark.runtime.device import use_exact_arithmetic
from benchmark.runtime.environment import environment
from benchmark.runtime.layout import place
from benchmark.saliency import Method
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, ROBUST_PREFIX
from benchmark.storage.record import Record, load_record
from benchmark.storage.results import PROTOCOL_FILE, SPLIT_FILE
from benchmark.submission.checks.comparison import KEY_COLUMNS, first_by_hash
from benchmark.submission.entries import load_entry
from benchmark.submission.judge.host import BoxHost, refuse_inner_methods
from benchmark.submission.sandbox.replies import Scores
from benchmark.training.checkpoint import class_order, load_weights, reorder_logits
from benchmark.training.regimes import Regime

COMPARED = (ROBUST_PREFIX, MAP_OVERLAP_PREFIX)
"""Prefixes of the columns of attacks that are compared."""


def rescore(
    record: str, entry: str | None, checkpoint: str, images: list[str], source: dict[str, str | None]
) -> dict[str, Any]:
    """Scores some test images again. Runs in the child: see :mod:`benchmark.submission.sandbox.worker`.

    Args:
        record: Path of the record.
        entry: Path of the submitted entry, a TOML file. None where the architecture is registered.
        checkpoint: Path of the weights.
        images: Names of the test images to score.
        source: directory and layout of the data.

    Returns:
        The fields of :class:`benchmark.submission.sandbox.replies.Scores`.

    Raises:
        UserError: The weights or the data differ from those of the record, or the protocol has changed since.
    """
    use_exact_arithmetic()
    stored = load_record(Path(record))
    architecture = load_entry(Path(entry)) if entry else select(Architecture, [stored.architecture])[0]
    return _score_part(stored, _build_job(stored, architecture, Path(record), source), Path(checkpoint), images)


def rescore_by_answers(
    host: BoxHost, record: str, checkpoint: str, images: list[str], source: dict[str, str | None]
) -> Scores:
    """Scores some test images again in this process, by the answers of a network in a box.

    Args:
        host: Runs the code of the entry. It gets images and weights, and neither masks, labels nor the record.
        record: Path of the record.
        checkpoint: Path of the weights.
        images: Names of the test images to score.
        source: directory and layout of the data.

    Raises:
        UserError: As :func:`rescore`, or the box failed, or the record has what needs the inside of the network.
    """
    use_exact_arithmetic()
    stored = load_record(Path(record))
    refuse_inner_methods(load_preset(stored.settings["preset"]))
    with host.known_architecture(stored.architecture, torch.device("cpu")) as architecture:
        job = replace(_build_job(stored, architecture, Path(record), source), host=host)
        return Scores(**_score_part(stored, job, Path(checkpoint), images))


def _score_part(stored: Record, job: Job, checkpoint: Path, images: list[str]) -> dict[str, Any]:
    """Predicts, attacks, explains and scores some of the test images of a job."""
    part = _select_part(job, images)
    model = _load_network(job, checkpoint)
    tested = load_split(part, "test")
    pixels, predictions = tested.images, compute_predictions(part, model, tested)
    predicted = torch.tensor(predictions["predicted"].to_numpy())
    placement = get_placement(job.cell.architecture, job.size, job.preset.alignment, model, job.target_layer)
    frames = []
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


def _load_network(job: Job, checkpoint: Path) -> nn.Module:
    """Loads the network of a job with the weights of a file, here or where its host runs it."""
    architecture, classes = job.cell.architecture, job.data.classes
    if job.host is not None:
        model = job.host.load(job, checkpoint)
    else:
        model = architecture.build(len(classes))
        load_weights(model, checkpoint, whole=True)
    if architecture.checkpoint is not None:
        model = reorder_logits(model, class_order(architecture.checkpoint, classes))
    return model if job.host is not None else place(model, job.device).eval()


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


def _build_job(record: Record, architecture: Architecture, path: Path, source: dict[str, str | None]) -> Job:
    """Rebuilds the cell of a record on the local data, with the split in its results directory."""
    preset, directory = load_preset(record.settings["preset"]), path.parent.parent
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
