"""Cells of the quick preset from training to scores, against the same work glued together from peers.

The work: train (with Loupe's schedule, attack, clipping and settled BatchNorm), predict and attack the test images,
draw Grad-CAM, score by Gini, F1 by rank accuracy (our top-mask-f1) and pixel flipping. Loupe does it by the functions
that `run` calls, with these three metrics instead of all. `glue.py` is the other side, in two ways to make batches,
each with the threads, workers and layout that are fastest here. The training's forward and backward passes, which all
have to make, are the floor.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from architectures import Architecture
from benchmark.config.presets import QUICK
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import load_split, train_or_load
from benchmark.registry import entries
from benchmark.runtime.tensors import to_float
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.scoring.perturbation import build_perturbation_context
from benchmark.scoring.predictions import build_attacks, predict_and_attack
from benchmark.scoring.score import score_maps
from benchmark.training.regimes import Regime
from benchmark.training.regimes.adversarial import ATTACK, DELAY
from metrics.flipping import PIXEL_FLIPPING
from metrics.localization import TOP_MASK_F1
from metrics.sparsity import GINI
from tests.performance import glue
from tests.performance.measuring import all_cores
from tests.performance.report import told

NAME = "mobilenet"
PEERS = {"glue-of-image-folder": glue.FromFiles, "glue-of-images-in-memory": glue.FromMemory}


@dataclass(frozen=True, kw_only=True)
class Work:
    """A cell, and the same for the gluer."""

    job: Job
    task: glue.Task


@pytest.fixture(autouse=True)
def cores(benchmark):
    """A user waits for what all cores do."""
    before = torch.get_num_threads()
    if benchmark.enabled:
        torch.set_num_threads(all_cores())
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["standard", "adversarial"])
def work(benchmark, request, tmp_path, monkeypatch):
    """A cell of the embedded data at its real size; where nothing is measured, a small one of a few images."""
    preset = replace(QUICK, methods=("grad-cam",))
    if benchmark.enabled:
        data = load_index(Source())
    else:
        monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / "runs"))
        data = load_index(Source(directory=request.getfixturevalue("isic_tree")))
        preset = replace(preset, epochs=1, perturbation_steps=2, attack_steps=1)
    prepared = prepare_dataset(data, preset)
    # All masks of an image as one, since the gluer scores against no other.
    prepared = replace(prepared, references=prepared.references[prepared.references["level"] == "union"])
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / "runs"))
    cell = Cell(architecture=entries(Architecture)[NAME], regime=entries(Regime)[request.param], seed=0)
    job = Job(cell=cell, data=prepared, preset=preset, device=torch.device("cpu"))
    warm_up(job)
    benchmark.group = f"cell {NAME}/{request.param} of the preset quick, end to end on all cores"
    directory = linked(tmp_path / "folder", {sample.id: sample.image for sample in data.samples}, job)
    return Work(job=job, task=task_of(job, directory))


def warm_up(job: Job) -> None:
    """What is loaded and prepared at first use, timm above all, is nobody's time."""
    model = job.cell.architecture.build(2).to(memory_format=torch.channels_last)
    images = torch.rand(job.settings.batch_size, 3, job.preset.image_size, job.preset.image_size)
    model(images.contiguous(memory_format=torch.channels_last)).sum().backward()


def linked(directory: Path, files: dict[str, Path], job: Job) -> Path:
    """The images in a directory per split and class."""
    for row in job.data.samples.itertuples():
        path = directory / row.split / job.data.classes[row.label] / files[row.id].name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(files[row.id].resolve())
    return directory


def task_of(job: Job, directory: Path) -> glue.Task:
    """The work of a job; the test images stand in the order of their classes and files, as ImageFolder lists them."""
    preset, side, data = job.preset, job.preset.image_size, job.data
    listed = [Path(path).stem for path, _ in glue.ImageFolder(directory / "test").samples]
    place = {name: number for number, name in enumerate(listed)}
    names = data.samples["id"].to_numpy()
    masks = np.zeros((len(listed), side, side), dtype=bool)
    for plane, row in data.references["sample"].items():
        if names[row] in place:
            masks[place[names[row]]] = data.mask_arrays[plane] > 127
    adversarial = job.cell.regime.adversarial
    return glue.Task(
        directory=directory,
        masks=masks,
        build=lambda: job.cell.architecture.build(len(data.classes)),
        layer=job.cell.architecture.target_layer,
        side=side,
        epochs=job.settings.epochs,
        batch=job.settings.batch_size,
        learning_rate=job.settings.learning_rate,
        clip=job.settings.clip,
        attack=(ATTACK.radius(side), ATTACK.step * ATTACK.radius(side), ATTACK.steps) if adversarial else None,
        delay=DELAY,
        judged=[place[names[data.test[number]]] for number in data.subset(preset.num_attacked)],
        # The peer attacks the cross-entropy alone. Ours attacks the margin too.
        test_attack=next(
            (pgd.radius(side), pgd.step * pgd.radius(side), pgd.steps) for pgd, *_ in attacks(job).values()
        ),
        flipped=[place[names[data.test[number]]] for number in data.subset(preset.num_perturbed)],
        steps=preset.perturbation_steps,
    )


def attacks(job: Job):
    return build_attacks("l2", job.preset.attack_eps, job.preset.attack_steps, 0)


def scored_by_loupe(job: Job, model: torch.nn.Module):
    """What the pipeline does between training and record, with three metrics."""
    lesson, layer = load_split(job, "test"), job.cell.architecture.target_layer
    judged = job.data.subset(job.preset.num_attacked)
    predictions = predict_and_attack(model, lesson.images, lesson.labels, attacks=attacks(job), attacked=judged)
    predicted, names = (
        torch.tensor(predictions["predicted"].to_numpy()),
        job.data.samples["id"].to_numpy()[job.data.test],
    )
    maps = compute_maps(model, layer, lesson.images, predicted, GRAD_CAM)

    def context(places):
        return build_perturbation_context(
            model,
            lesson.images[places],
            maps[places],
            predicted[places],
            ids=list(names[places]),
            mean=torch.zeros(3),
            steps=job.preset.perturbation_steps,
            layer=layer,
            method=GRAD_CAM,
        )

    flipped = job.data.subset(job.preset.num_perturbed)
    metrics = [GINI, TOP_MASK_F1, PIXEL_FLIPPING]
    return score_maps(maps, job.data, metrics, device=job.device, contexts=(flipped, context))


def measured(benchmark, train, score, setting=""):
    """Once, with the time of each part."""
    parts = {}

    def cell():
        torch.manual_seed(0)
        begun = time.perf_counter()
        model = train()
        trained = time.perf_counter()
        scores = score(model)
        parts.update({"train": trained - begun, "explain and score": time.perf_counter() - trained})
        return scores

    scores = benchmark.pedantic(cell, rounds=1)
    benchmark.extra_info["told"] = told(parts) + setting
    return scores


def test_loupe(benchmark, work):
    job = work.job
    scores = measured(
        benchmark, lambda: train_or_load(job, lambda *_: None)[0], lambda model: scored_by_loupe(job, model)
    )
    counts = scores.groupby("metric")["value"].size()
    masked = int(work.task.masks.any(axis=(1, 2)).sum())
    assert counts.to_dict() == {
        "sparsity": len(job.data.test),
        "top-mask-f1": masked,
        "pixel-flipping": len(work.task.flipped),
    }


@pytest.mark.parametrize("peer", PEERS)
def test_peer(benchmark, work, peer):
    task, make = work.task, PEERS[peer]
    setting = glue.Setting(threads=1, workers=0, layout=torch.contiguous_format)
    if benchmark.enabled:
        setting = glue.tuned(task, make, all_cores())
    torch.set_num_threads(setting.threads)
    scores = measured(
        benchmark,
        lambda: glue.train(task, make, setting),
        lambda model: glue.explain_and_score(task, model, setting),
        f"; {setting.threads} threads, {setting.workers} workers, {str(setting.layout).removeprefix('torch.')}",
    )
    masked = int(task.masks.any(axis=(1, 2)).sum())
    counts = {name: len(found) for name, found in scores.items() if name != "withstood"}
    assert counts == {
        "right": len(task.masks),
        "sparsity": len(task.masks),
        "f1": masked,
        "flipping": len(task.flipped),
    }


def test_floor(benchmark, work):
    """Forward and backward passes of the training, those of the attack included, of images that are there."""
    task, data = work.task, work.job.data
    model = task.build().to(memory_format=torch.channels_last).train()
    images = to_float(torch.as_tensor(data.images[data.train][: task.batch]).permute(0, 3, 1, 2))
    labels = torch.as_tensor(data.samples["label"].to_numpy()[data.train][: task.batch])
    weights, total = tuple(model.parameters()), task.epochs * (len(data.train) // task.batch)

    def passes():
        for number in range(total):
            for _ in range(task.attack[2] if task.attack and number >= task.delay * total else 0):
                inputs = images.clone().requires_grad_()
                torch.autograd.grad(cross_entropy(model(inputs), labels), inputs)
            torch.autograd.grad(cross_entropy(model(images), labels), weights)

    benchmark.pedantic(passes, rounds=1)
