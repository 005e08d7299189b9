"""The main flow for one cell: train, explain, score, record. Every stage is kept and found again by its content."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attacks.autoattack import recipe
from benchmark.experiments.build_record import CellOutcome, build_record
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import job_log_dir, job_model_dir, load_split, train_or_load
from benchmark.registry import select
from benchmark.saliency import Method
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.placement import Placement
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, MASK_DICE, classification_measures
from benchmark.scoring.curves import curves_frame
from benchmark.scoring.map_robustness import build_map_attacks, map_overlap_under_attack
from benchmark.scoring.perturbation import build_perturbation_context
from benchmark.scoring.predictions import build_attacks, predict_and_attack
from benchmark.scoring.quantus_calls import collect_reasons
from benchmark.scoring.score import score_maps
from benchmark.scoring.segmentation import mask_dice
from benchmark.storage.files import new_directory, new_file, write_text
from benchmark.storage.hashing import content_key, file_digest
from benchmark.storage.identity import identity
from benchmark.storage.runs import maps_file, predictions_file
from benchmark.training.tensor_data import TensorData
from metrics.perturbation import PerturbationContext

Report = Callable[[str, float], None]
"""Called with the name of the stage and the share of the cell that is done."""


def run_cell(job: Job, report: Report) -> Path:
    """Carries out a cell, or finds what an earlier run kept of it.

    Args:
        job: The cell and all that decides its outcome.
        report: Told of progress.

    Returns:
        The directory with record.json, scores.parquet, predictions.parquet, classification.csv and, where images are
        perturbed, curves.parquet.
    """
    if job.done:
        return job.directory
    clock = {"start": time.perf_counter()}
    model, training = train_or_load(job, lambda stage, share: report(stage, 0.7 * share))
    clock["train"] = time.perf_counter()
    lesson = load_split(job, "test")
    report("diagnose", 0.7)
    predictions = _predictions(job, model, lesson)
    measured = classification_measures(predictions, job.data.classes)
    clock["diagnose"] = time.perf_counter()
    with collect_reasons() as reasons:
        found = [
            _scored(job, model, lesson.images, predictions, method=method, report=report) for method in _methods(job)
        ]
    scores = pd.concat([frame for frame, _ in found], ignore_index=True)
    curves = [frame for _, frames in found for frame in frames]
    clock["explain and score"] = time.perf_counter()
    outcome = CellOutcome(
        model=model,
        training=training,
        predictions=predictions,
        classification=measured,
        scores=scores,
        clock=clock,
        reasons=reasons,
    )
    with new_directory(job.directory) as directory:
        predictions.to_parquet(directory / "predictions.parquet")
        scores.to_parquet(directory / "scores.parquet")
        if curves:
            pd.concat(curves, ignore_index=True).to_parquet(directory / "curves.parquet", compression="zstd")
        write_text(directory / "classification.csv", measured.to_csv(index=False, lineterminator="\n"))
        files = {path.name: file_digest(path) for path in sorted(directory.iterdir())}
        write_text(directory / "record.json", build_record(job, outcome, files).model_dump_json(indent=1) + "\n")
    return job.directory


def _predictions(job: Job, model: nn.Module, lesson: TensorData) -> pd.DataFrame:
    """A row per test image: what the model says of it, as it is and under attack; kept, for attacks are dear."""
    path = _predictions_file(job)
    if not path.is_file():
        with new_file(path) as temporary:
            _diagnosed(job, model, lesson).to_parquet(temporary)
    return pd.read_parquet(path)


def _predictions_file(job: Job) -> Path:
    return predictions_file(content_key(job.model_key, job.attacks))


def _diagnosed(job: Job, model: nn.Module, lesson: TensorData) -> pd.DataFrame:
    """What :func:`_predictions` keeps."""
    preset, layer = job.preset, job.cell.architecture.target_layer
    known = recipe(len(job.data.classes)) if preset.autoattack else ""
    attacks = build_attacks("l2", preset.attack_eps, preset.attack_steps, preset.apgd_steps, known)
    attacked = job.data.subset(preset.num_attacked)
    found = predict_and_attack(model, lesson.images, lesson.labels, attacks=attacks, attacked=attacked)
    if preset.num_map_attacked:
        places = job.data.subset(preset.num_map_attacked)
        chosen = torch.tensor(places, device=job.device)
        predicted = torch.tensor(found["predicted"].to_numpy(), device=job.device)[chosen]
        for name, attack in build_map_attacks(preset.attack_steps).items():
            found[MAP_OVERLAP_PREFIX + name] = np.nan
            kept = map_overlap_under_attack(model, layer, lesson.images[chosen], predicted, attack, _placement(job))
            found.loc[places, MAP_OVERLAP_PREFIX + name] = kept
    if job.cell.architecture.predicts_masks:
        found[MASK_DICE] = mask_dice(model, lesson)
    names = job.data.samples[["id", "group"]].iloc[job.data.test].reset_index(drop=True)
    return pd.concat([names.rename(columns={"id": "image"}), found], axis=1)


def load_maps(job: Job, method: Method) -> NDArray[np.float16]:
    """The kept maps (T, S, S) of the test images of a cell that was carried out."""
    return np.load(_maps_file(job, method))


def cell_artifacts(job: Job) -> list[Path]:
    """The files and directories that a cell which was carried out left behind."""
    paths = [job_model_dir(job), _predictions_file(job), *(_maps_file(job, method) for method in _methods(job))]
    log = job_log_dir(job)
    return [*paths, *([log] if log.is_dir() else []), job.directory]


def _methods(job: Job) -> list[Method]:
    return select(Method, job.preset.methods)


def _maps_file(job: Job, method: Method) -> Path:
    placed = [job.preset.alignment] if method.uses_grid else []
    return maps_file(content_key(job.model_key, method.name, identity(method), *placed))


def _maps(job: Job, model: nn.Module, images: Tensor, predicted: Tensor, method: Method) -> NDArray[np.float16]:
    path = _maps_file(job, method)
    if not path.is_file():
        layer = job.cell.architecture.target_layer
        with new_file(path) as temporary:
            np.save(temporary, compute_maps(model, layer, images, predicted, method, _placement(job)))
    return load_maps(job, method)


def _placement(job: Job) -> Placement | None:
    return get_placement(job.cell.architecture, job.size, job.preset.alignment)


def _scored(
    job: Job, model: nn.Module, images: Tensor, predictions: pd.DataFrame, *, method: Method, report: Report
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Scores and curves of the maps of one method, which explain the predicted class of every test image."""
    predicted = torch.tensor(predictions["predicted"].to_numpy(), device=job.device)
    report(f"explain by {method.name}", 0.8)
    maps = _maps(job, model, images, predicted, method)
    report(f"score {method.name}", 0.85)
    return scored_maps(job, model, images, predictions, maps=maps, method=method)


def scored_maps(
    job: Job,
    model: nn.Module,
    images: Tensor,
    predictions: pd.DataFrame,
    *,
    maps: NDArray[np.float16],
    method: Method,
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Scores and curves of maps of the test images of a job.

    Args:
        job: What is scored, and how.
        model: In evaluation mode, on the device of the images.
        images: The test images (T, 3, S, S), uint8.
        predictions: A row per test image, with its name and the class that is explained.
        maps: Of these classes, (T, S, S).
        method: How they were drawn.

    Returns:
        The columns of :func:`benchmark.scoring.score.score_maps` and the method; and the perturbation curves, a frame
        for each probe.
    """
    predicted = torch.tensor(predictions["predicted"].to_numpy(), device=job.device)
    mean = torch.as_tensor(job.data.mean_color(), device=job.device)
    curves: list[pd.DataFrame] = []

    def context(places: NDArray[np.intp]) -> PerturbationContext:
        chosen = torch.tensor(places, device=job.device)
        ids = list(predictions["image"].iloc[places])
        made = build_perturbation_context(
            model,
            images[chosen],
            maps[places],
            predicted[chosen],
            ids=ids,
            mean=mean,
            steps=job.preset.perturbation_steps,
            layer=job.cell.architecture.target_layer,
            method=method,
            upsample_fn=_placement(job),
        )
        # The probe keeps them for the scores, so they are found once.
        curves.append(curves_frame(ids, method.name, made.curves()))
        return made

    sample = job.data.subset(job.preset.num_perturbed)
    frame = score_maps(maps, job.data, job.metrics, device=job.device, contexts=(sample, context))
    frame.insert(1, "method", method.name)
    return frame, curves
