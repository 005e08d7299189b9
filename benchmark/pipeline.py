"""The main flow for one cell: train, explain, score, record. Every stage is kept and found again by its content."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.checkpoint import initial_model, load_weights, save_model
from benchmark.describe import Outcome, describe
from benchmark.diagnose import diagnose
from benchmark.explain import draw_maps, on_device
from benchmark.job import Job
from benchmark.registry import digest, entries, select
from benchmark.saliency import Method
from benchmark.score import curves_of, score_maps
from benchmark.store import content_key, new_file, new_folder, runs_folder, write_text
from benchmark.training.attacks import PGD
from benchmark.training.loop import train
from metrics import Metric

Report = Callable[[str, float], None]
"""Called with the name of the stage and the share of the cell that is done."""


def run_cell(job: Job, report: Report) -> Path:
    """Carries out a cell, or finds what an earlier run kept of it.

    Args:
        job: The cell and all that decides its outcome.
        report: Told of progress.

    Returns:
        The folder with record.json, scores.parquet and predictions.parquet.
    """
    if job.done:
        return job.folder
    clock = {"start": time.perf_counter()}
    model, losses, checkpoint = _model(job, report)
    clock["train"] = time.perf_counter()
    images, labels = _on_device(job, job.data.test)
    report("diagnose", 0.7)
    attack = PGD(norm="l2", eps=job.preset.attack_eps, steps=job.preset.attack_steps, step=0.5, random_start=False)
    predictions = diagnose(model, images, labels, attack=attack, attacked=job.data.sample(job.preset.attacked))
    names = job.data.cases[["id", "group"]].iloc[job.data.test].reset_index(drop=True)
    predictions = pd.concat([names.rename(columns={"id": "image"}), predictions], axis=1)
    clock["diagnose"] = time.perf_counter()
    scores = pd.concat(
        [_scored(job, model, images, predictions, method=method, report=report) for method in _methods(job)],
        ignore_index=True,
    )
    clock["explain and score"] = time.perf_counter()
    outcome = Outcome(
        model=model, losses=losses, checkpoint=checkpoint, predictions=predictions, scores=scores, clock=clock
    )
    with new_folder(job.folder) as folder:
        predictions.to_parquet(folder / "predictions.parquet")
        scores.to_parquet(folder / "scores.parquet")
        write_text(folder / "record.json", describe(job, outcome).model_dump_json(indent=1) + "\n")
    return job.folder


def model_of(job: Job) -> nn.Module:
    """The trained model of a cell that was carried out, in evaluation mode."""
    model = initial_model(job.cell.architecture, len(job.data.classes), "random")
    load_weights(model, runs_folder() / "models" / job.model_key / "model.safetensors")
    return model.to(memory_format=torch.channels_last).to(job.device).eval()


def maps_of(job: Job, method: Method) -> NDArray[np.float16]:
    """The kept maps (T, S, S) of the test images of a cell that was carried out."""
    return np.load(_maps_file(job, method))


def _methods(job: Job) -> list[Method]:
    return select(Method, job.preset.methods)


def _on_device(job: Job, rows: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
    """Images (N, 3, S, S), uint8, and labels (N,) of some rows."""
    images = on_device(job.data.images[rows], job.device)
    return images, torch.tensor(job.data.cases["label"].to_numpy()[rows], device=job.device)


def _model(job: Job, report: Report) -> tuple[nn.Module, list[float], str]:
    """The model in evaluation mode, the loss of every epoch and the SHA-256 of its checkpoint."""
    folder = runs_folder() / "models" / job.model_key
    if not folder.is_dir():
        torch.manual_seed(job.cell.seed)
        model = initial_model(job.cell.architecture, len(job.data.classes), job.weights)
        model = model.to(memory_format=torch.channels_last).to(job.device)
        epochs = job.settings.epochs
        losses = train(
            model,
            *_on_device(job, job.data.train),
            regime=job.cell.regime,
            settings=job.settings,
            report=lambda done, loss: report(f"train {done}/{epochs}, loss {loss:.2f}", 0.7 * done / epochs),
        )
        with new_folder(folder) as temporary:
            checkpoint = save_model(model, temporary / "model.safetensors")
            write_text(temporary / "training.json", json.dumps({"losses": losses, "sha256": checkpoint}))
    kept = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return model_of(job), kept["losses"], kept["sha256"]


def _maps_file(job: Job, method: Method) -> Path:
    key = content_key(job.model_key, method.name, digest(method))
    return runs_folder() / "maps" / f"{key}.npy"


def _maps(job: Job, model: nn.Module, images: Tensor, predicted: Tensor, method: Method) -> NDArray[np.float16]:
    path = _maps_file(job, method)
    if not path.is_file():
        layer = job.cell.architecture.saliency_layer
        with new_file(path) as temporary:
            np.save(temporary, draw_maps(model, layer, images, predicted, method=method))
    return maps_of(job, method)


def _scored(
    job: Job, model: nn.Module, images: Tensor, predictions: pd.DataFrame, *, method: Method, report: Report
) -> pd.DataFrame:
    """Scores of the maps of one method, which explain the predicted class of every test image."""
    predicted = torch.tensor(predictions["predicted"].to_numpy(), device=job.device)
    report(f"explain by {method.name}", 0.8)
    maps = _maps(job, model, images, predicted, method)
    report(f"score {method.name}", 0.85)
    sample = job.data.sample(job.preset.perturbed)
    chosen = torch.tensor(sample, device=job.device)
    curves = curves_of(
        model,
        images[chosen],
        maps[sample],
        predicted[chosen],
        ids=list(predictions["image"].iloc[sample]),
        steps=job.preset.perturbation_steps,
    )
    frame = score_maps(maps, job.data, list(entries(Metric).values()), device=job.device, curves=(sample, curves))
    frame.insert(1, "method", method.name)
    return frame
