"""The pipeline of one cell: train, explain, score, record. Every stage is cached by a hash of its inputs."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attacks.autoattack import recipe
from benchmark.escaping import frame_csv
from benchmark.experiments.build_record import CellOutcome, build_record
from benchmark.experiments.cell_reliance import job_reliance_file, list_test_names, load_reliance
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import job_log_dir, job_model_dir, load_split, train_or_load
from benchmark.registry import select
from benchmark.reliance.masses import measure_densities, superpixel_masks
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
from benchmark.storage.cache import cached_directory, is_intact, load_or_make
from benchmark.storage.files import write_text
from benchmark.storage.hashing import content_key, file_digest
from benchmark.storage.identity import identity
from benchmark.storage.parquet import write_parquet
from benchmark.storage.record import write_record
from benchmark.storage.runs import maps_file, predictions_file
from benchmark.training.tensor_data import TensorData
from metrics.perturbation import PerturbationContext

Report = Callable[[str, float], None]
"""Called with the name of the stage and the fraction of the cell that is done."""


def run_cell(job: Job, report: Report) -> Path:
    """Runs a cell, or returns its cached results.

    Args:
        job: The cell and everything that determines its results.
        report: Receives the progress.

    Returns:
        The directory with record.json, scores.parquet, predictions.parquet, classification.csv and, if images are
        perturbed, curves.parquet.
    """
    if job.done:
        return job.directory
    timestamps = {"start": time.perf_counter()}
    model, training = train_or_load(job, lambda stage, fraction: report(stage, 0.7 * fraction))
    timestamps["train"] = time.perf_counter()
    data = load_split(job, "test")
    report("classify", 0.7)
    predictions = _predictions(job, model, data)
    report("measure reliance", 0.75)
    predictions = pd.concat([predictions, load_reliance(job, model)], axis=1)
    classification = classification_measures(predictions, job.data.classes)
    timestamps["diagnose"] = time.perf_counter()
    with collect_reasons() as reasons:
        scored = [
            _explain_and_score(job, model, data.images, predictions, method=method, report=report)
            for method in _methods(job)
        ]
    scores = pd.concat([frame for frame, _ in scored], ignore_index=True)
    predictions = pd.concat([predictions, *_densities(job)], axis=1)
    curves = [frame for _, frames in scored for frame in frames]
    timestamps["explain and score"] = time.perf_counter()
    outcome = CellOutcome(
        model=model,
        training=training,
        predictions=predictions,
        classification=classification,
        scores=scores,
        timestamps=timestamps,
        reasons=reasons,
    )
    with cached_directory(job.directory) as directory:
        write_parquet(predictions, directory / "predictions.parquet")
        write_parquet(scores, directory / "scores.parquet")
        if curves:
            write_parquet(pd.concat(curves, ignore_index=True), directory / "curves.parquet")
        write_text(directory / "classification.csv", frame_csv(classification))
        files = {path.name: file_digest(path) for path in sorted(directory.iterdir())}
        write_record(directory / "record.json", build_record(job, outcome, files))
    return job.directory


def _predictions(job: Job, model: nn.Module, data: TensorData) -> pd.DataFrame:
    """Predicts clean and attacked test images, one row per image. Cached, since attacks are expensive."""
    return load_or_make(
        _predictions_file(job), lambda path: compute_predictions(job, model, data).to_parquet(path), pd.read_parquet
    )


def _predictions_file(job: Job) -> Path:
    return predictions_file(content_key(job.model_key, job.attacks))


def compute_predictions(job: Job, model: nn.Module, data: TensorData) -> pd.DataFrame:
    """Predicts clean and attacked test images, one row per image."""
    preset, layer = job.preset, job.target_layer
    autoattack = recipe(len(job.data.classes)) if preset.autoattack else ""
    attacks = build_attacks("l2", preset.attack_eps, preset.attack_steps, preset.apgd_steps, autoattack)
    attacked = job.data.subset(preset.num_attacked)
    predictions = predict_and_attack(model, data.images, data.labels, attacks=attacks, attacked=attacked)
    if preset.num_map_attacked:
        indices = job.data.subset(preset.num_map_attacked)
        chosen = torch.tensor(indices, device=job.device)
        predicted = torch.tensor(predictions["predicted"].to_numpy(), device=job.device)[chosen]
        placement = _placement(job, model)
        for name, attack in build_map_attacks(preset.attack_steps).items():
            predictions[MAP_OVERLAP_PREFIX + name] = np.nan
            overlap = map_overlap_under_attack(model, layer, data.images[chosen], predicted, attack, placement)
            predictions.loc[indices, MAP_OVERLAP_PREFIX + name] = overlap
    if job.cell.architecture.predicts_masks:
        predictions[MASK_DICE] = mask_dice(model, data)
    names = job.data.samples[["id", "group"]].iloc[job.data.test].reset_index(drop=True)
    return pd.concat([names.rename(columns={"id": "image"}), predictions], axis=1)


def _densities(job: Job) -> list[pd.DataFrame]:
    """Computes the densities of the cached maps of each method on the random regions of the images."""
    masks = superpixel_masks(job.data.images[job.data.test], list_test_names(job.data))
    return [measure_densities(load_maps(job, method), masks, method.name) for method in _methods(job)]


def load_maps(job: Job, method: Method) -> NDArray[np.float16]:
    """Loads the cached maps (T, S, S) of the test images of a finished cell. Damaged ones are computed again."""

    def make(path: Path) -> None:
        model, _ = train_or_load(job, lambda _stage, _fraction: None)
        data = load_split(job, "test")
        predicted = torch.tensor(_predictions(job, model, data)["predicted"].to_numpy(), device=job.device)
        _compute_maps(job, model, data.images, predicted, method=method, path=path)

    return load_or_make(_maps_file(job, method), make, np.load)


def has_maps(job: Job, method: Method) -> bool:
    """Whether the maps of a cell exist and are intact."""
    return is_intact(_maps_file(job, method))


def cell_artifacts(job: Job) -> list[Path]:
    """Lists the files and directories of a finished cell."""
    paths = [
        job_model_dir(job),
        _predictions_file(job),
        job_reliance_file(job),
        *(_maps_file(job, method) for method in _methods(job)),
    ]
    log = job_log_dir(job)
    return [*paths, *([log] if log.is_dir() else []), job.directory]


def _methods(job: Job) -> list[Method]:
    return select(Method, job.preset.methods)


def _maps_file(job: Job, method: Method) -> Path:
    grid = [job.preset.alignment, *job.grid_settings] if method.uses_grid else []
    return maps_file(content_key(job.model_key, method.name, identity(method), *grid))


def _maps(job: Job, model: nn.Module, images: Tensor, predicted: Tensor, method: Method) -> NDArray[np.float16]:
    def make(path: Path) -> None:
        _compute_maps(job, model, images, predicted, method=method, path=path)

    return load_or_make(_maps_file(job, method), make, np.load)


def _compute_maps(job: Job, model: nn.Module, images: Tensor, predicted: Tensor, *, method: Method, path: Path) -> None:
    layer = job.target_layer
    with path.open("wb") as file:
        np.save(file, compute_maps(model, layer, images, predicted, method, _placement(job, model)))


def _placement(job: Job, model: nn.Module) -> Placement | None:
    return get_placement(job.cell.architecture, job.size, job.preset.alignment, model, job.target_layer)


def _explain_and_score(
    job: Job, model: nn.Module, images: Tensor, predictions: pd.DataFrame, *, method: Method, report: Report
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Computes scores and curves of the maps of one method, for the predicted class of every test image."""
    predicted = torch.tensor(predictions["predicted"].to_numpy(), device=job.device)
    report(f"explain by {method.name}", 0.8)
    maps = _maps(job, model, images, predicted, method)
    report(f"score {method.name}", 0.85)
    return score_method_maps(job, model, images, predictions, maps=maps, method=method)


def score_method_maps(
    job: Job,
    model: nn.Module,
    images: Tensor,
    predictions: pd.DataFrame,
    *,
    maps: NDArray[np.float16],
    method: Method,
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Computes scores and curves of the maps of the test images of a job.

    Args:
        job: The cell and its settings.
        model: The model in evaluation mode, on the device of the images.
        images: The test images (T, 3, S, S), uint8.
        predictions: One row per test image, with its name and the explained class.
        maps: Maps of these classes, (T, S, S).
        method: Saliency method of the maps.

    Returns:
        The columns of :func:`benchmark.scoring.score.score_maps` with the method, and the perturbation curves, one
        frame per perturbation context.
    """
    predicted = torch.tensor(predictions["predicted"].to_numpy(), device=job.device)
    mean = torch.as_tensor(job.data.mean_color(), device=job.device)
    curves: list[pd.DataFrame] = []

    def build_context(indices: NDArray[np.intp]) -> PerturbationContext:
        chosen = torch.tensor(indices, device=job.device)
        ids = list(predictions["image"].iloc[indices])
        context = build_perturbation_context(
            model,
            images[chosen],
            maps[indices],
            predicted[chosen],
            ids=ids,
            mean=mean,
            steps=job.preset.perturbation_steps,
            layer=job.target_layer,
            method=method,
            upsample_fn=_placement(job, model),
        )
        # The context caches its curves, so the scores do not compute them again.
        curves.append(curves_frame(ids, method.name, context.curves()))
        return context

    sample = job.data.subset(job.preset.num_perturbed)
    frame = score_maps(maps, job.data, job.metrics, device=job.device, contexts=(sample, build_context))
    frame.insert(1, "method", method.name)
    return frame, curves
