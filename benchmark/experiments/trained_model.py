"""The models of a run: trained in stages, stored and loaded again."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from architectures.groups import freeze, layer_groups
from benchmark.experiments.job import Job
from benchmark.runtime.device import fits_in_memory, release_memory
from benchmark.runtime.layout import place
from benchmark.runtime.tensors import on_device
from benchmark.storage.cache import cached_directory, is_intact
from benchmark.storage.files import write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Training
from benchmark.storage.runs import model_dir, training_log_dir, training_state_file
from benchmark.training.checkpoint import (
    InitialWeights,
    checkpoint_file,
    class_order,
    initial_model,
    load_weights,
    reorder_logits,
    save_model,
)
from benchmark.training.log import epoch_log
from benchmark.training.loop import train
from benchmark.training.state import CheckpointFile, History
from benchmark.training.tensor_data import TensorData

Report = Callable[[str, float], None]
"""Called with the name of the stage and the fraction of it that is done."""


def load_split(job: Job, split: str) -> TensorData:
    """Loads the images of a split on the device, with their masks if the regime needs them.

    Training images stay in main memory if the device has too little memory.
    """
    rows = job.data.rows(split)
    masks = torch.as_tensor(job.data.masks(rows), device=job.device) if job.cell.regime.needs_masks else None
    labels = torch.tensor(job.data.samples["label"].to_numpy()[rows], device=job.device)
    images = job.data.images[rows]
    device = job.device if split == "test" or fits_in_memory(job.device, images.nbytes) else torch.device("cpu")
    return TensorData(images=on_device(images, device), labels=labels, masks=masks)


def train_or_load(job: Job, report: Report) -> tuple[nn.Module, Training]:
    """Returns the model of a job in evaluation mode and its training history. Earlier stages are trained first."""
    _train_missing(job, report)
    release_memory()
    return load_model(job), load_history(job_model_dir(job))


def _train_missing(job: Job, report: Report) -> None:
    """Trains the model of a job unless it exists, here or where its network runs."""
    directory = job_model_dir(job)
    if is_intact(directory, _matches_history):
        return
    if job.cell.architecture.checkpoint is not None:
        _import_checkpoint(job, directory)
    elif job.host is not None:
        start = None
        if job.init_job is not None:
            _train_missing(job.init_job, report)
            start = job_model_dir(job.init_job) / "model.safetensors"
        with cached_directory(directory) as temporary:
            training = job.host.train(job, start, temporary / "model.safetensors", report)
            write_text(temporary / "training.json", training.model_dump_json(indent=1) + "\n")
    else:
        model, initial = _build_initial(job, report)
        file = CheckpointFile(training_state_file(job.model_key))
        history = _train(job, model, file, report)
        with cached_directory(directory) as temporary:
            sha256 = save_model(model, temporary / "model.safetensors")
            training = Training(sha256=sha256, **asdict(history), **asdict(initial))
            write_text(temporary / "training.json", training.model_dump_json(indent=1) + "\n")
        file.remove()


def load_history(directory: Path) -> Training:
    """Loads the training history in the directory of a trained model."""
    return Training.model_validate_json((directory / "training.json").read_bytes())


def _matches_history(directory: Path) -> bool:
    """Whether the weights of a model of an earlier version are those that its history names."""
    return file_digest(directory / "model.safetensors") == load_history(directory).sha256


def job_model_dir(job: Job) -> Path:
    """Returns the directory of the trained model of a job."""
    return model_dir(job.model_key)


def job_log_dir(job: Job) -> Path:
    """Returns the directory of the training log of a job."""
    return training_log_dir(job.cell.name, job.model_key)


def load_model(job: Job) -> nn.Module:
    """Loads the trained model of a finished job, in evaluation mode."""
    checkpoint = job.cell.architecture.checkpoint
    weights = job_model_dir(job) / "model.safetensors"
    if job.host is not None:
        model = job.host.load(job, weights)
    else:
        model, _ = initial_model(job.cell.architecture, len(job.data.classes), "random")
        load_weights(model, weights, whole=checkpoint is not None)
    if checkpoint is not None:
        model = reorder_logits(model, class_order(checkpoint, job.data.classes))
    return model if job.host is not None else place(model, job.device).eval()


def _import_checkpoint(job: Job, directory: Path) -> None:
    """Copies an external checkpoint to the runs directory, if it fits network and data."""
    architecture, checkpoint = job.cell.architecture, job.cell.architecture.checkpoint
    if checkpoint is None:
        raise ValueError(f"{architecture.name} has no checkpoint")
    class_order(checkpoint, job.data.classes)
    file = checkpoint_file(architecture, checkpoint)
    if job.host is None:  # otherwise it is tried where the network runs
        load_weights(architecture.build(len(checkpoint.classes)), file, whole=True)
    training = Training(sha256=checkpoint.sha256, losses=[], validation=[], best=0, micro_batch=0, stopped=False)
    with cached_directory(directory) as temporary:
        shutil.copyfile(file, temporary / "model.safetensors")
        write_text(temporary / "training.json", training.model_dump_json(indent=1) + "\n")


def _build_initial(job: Job, report: Report) -> tuple[nn.Module, InitialWeights]:
    """Builds the network that training starts from, and says what its first stage loaded."""
    if job.init_job is not None:
        model, first = train_or_load(
            job.init_job, lambda stage, fraction: report(f"first stage, {stage}", fraction / 2)
        )
        torch.manual_seed(job.cell.seed)
        return model, InitialWeights(loaded=first.loaded or 0, random=first.random)
    torch.manual_seed(job.cell.seed)
    weights = str(job.weights_path or job.weights)
    model, initial = initial_model(job.cell.architecture, len(job.data.classes), weights)
    return place(model, job.device), initial


def _train(job: Job, model: nn.Module, file: CheckpointFile, report: Report) -> History:
    epochs = math.ceil(job.settings.epochs / job.cell.regime.batch_replays)

    log = epoch_log(job.log, job_log_dir(job))

    def report_epoch(done: int, history: History) -> None:
        log(done, history)
        loss = f"loss {history.losses[-1]:.2f}" + (f"/{history.validation[-1]:.2f}" if history.validation else "")
        report(f"train {done}/{epochs}, {loss}", done / epochs)

    validation = load_split(job, "validation")
    return train(
        model,
        load_split(job, "train"),
        regime=job.cell.regime,
        settings=job.settings,
        report=report_epoch,
        validation=validation if len(validation) else None,
        frozen=_frozen(job, model),
        file=file,
    )


def _frozen(job: Job, model: nn.Module) -> Sequence[nn.Module]:
    """Freezes the first layer groups, as many as the regime says, and returns their BatchNorm layers."""
    if not job.cell.regime.frozen:
        return ()
    return freeze(model, layer_groups(model, job.cell.architecture.input_size), job.cell.regime.frozen)
