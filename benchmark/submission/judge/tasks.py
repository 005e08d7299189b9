"""Training and measuring the network of an entry, in the box."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from architectures.groups import freeze, layer_groups
from benchmark.registry import select
from benchmark.runtime.device import retain_freed_memory, use_exact_arithmetic
from benchmark.runtime.layout import place
from benchmark.runtime.tensors import on_device
from benchmark.saliency.alignment import compute_geometry
from benchmark.submission.entries import collect_facts, load_entry
from benchmark.training.checkpoint import initial_model, load_weights, save_model
from benchmark.training.loop import train
from benchmark.training.regimes import Regime
from benchmark.training.settings import Settings
from benchmark.training.state import History
from benchmark.training.tensor_data import TensorData


def describe_entry(entry: str) -> dict[str, Any]:
    """Returns the metadata of an entry, and whether it has published weights."""
    architecture = load_entry(Path(entry))
    return {"metadata": collect_facts(architecture), "pretrained": architecture.pretrained is not None}


def measure_geometry(entry: str, size: list[int]) -> dict[str, Any]:
    """Computes the positions of the cells of an entry's target layer on images (H, W)."""
    use_exact_arithmetic()
    architecture = load_entry(Path(entry))
    return asdict(compute_geometry(architecture, size, architecture.target_layer))


def train_network(  # noqa: PLR0913 - an entry, and how to train it
    entry: str,
    directory: str,
    *,
    classes: int,
    regime: str,
    seed: int,
    settings: dict[str, Any],
    weights: str,
    start: str | None,
    device: str,
) -> dict[str, Any]:
    """Trains the network of an entry as a run does.

    Args:
        entry: Path of the entry file.
        directory: Has the images, labels and masks of the parts `train` and `validation`, and receives
            `model.safetensors`.
        classes: Number of classes.
        regime: Name of the regime.
        seed: The seed.
        settings: Fields of the settings.
        weights: The initial weights.
        start: File with the weights of an earlier stage. None without one.
        device: Where to train.

    Returns:
        The history of the training, and what the network started from.
    """
    use_exact_arithmetic()
    retain_freed_memory()
    architecture, chosen = load_entry(Path(entry)), select(Regime, [regime])[0]
    torch.manual_seed(seed)
    model, initial = initial_model(architecture, classes, "random" if start else weights)
    if start:
        load_weights(model, Path(start))
        torch.manual_seed(seed)
    model = place(model, torch.device(device))
    groups = layer_groups(model, architecture.input_size) if chosen.frozen else []
    validation = _load_part(Path(directory), "validation", torch.device(device))
    history = train(
        model,
        _load_part(Path(directory), "train", torch.device(device)),
        regime=chosen,
        settings=Settings(**settings),
        report=_print_epoch,
        validation=validation if len(validation) else None,
        frozen=freeze(model, groups, chosen.frozen) if chosen.frozen else (),
    )
    save_model(model, Path(directory) / "model.safetensors")
    return {**asdict(history), "loaded": initial.loaded, "random": list(initial.random)}


def save_part(directory: Path, part: str, **arrays: "np.ndarray[Any, Any] | None") -> None:
    """Writes the images, labels and masks of a part of the data for :func:`train_network`."""
    for name, array in arrays.items():
        if array is not None:
            np.save(directory / f"{part}-{name}.npy", array, allow_pickle=False)


def _load_part(directory: Path, part: str, device: torch.device) -> TensorData:
    images, labels = (np.load(directory / f"{part}-{name}.npy", mmap_mode="c") for name in ("images", "labels"))
    file = directory / f"{part}-masks.npy"
    masks = torch.as_tensor(np.load(file), device=device) if file.is_file() else None
    return TensorData(images=on_device(images, device), labels=torch.tensor(labels, device=device), masks=masks)


def _print_epoch(done: int, history: History) -> None:
    loss = json.dumps([round(losses[-1], 2) for losses in (history.losses, history.validation) if losses])
    print(f"epoch {done}, loss {loss}", flush=True)  # noqa: T201 - the judge shows it
