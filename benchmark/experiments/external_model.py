"""The network behind maps from elsewhere: it predicts, and answers when pixels are inserted or deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from architectures import Architecture
from benchmark.data.dataset import ImageDataset
from benchmark.errors import UserError
from benchmark.experiments.cell_reliance import list_test_names
from benchmark.registry import select
from benchmark.runtime.device import nearest_device
from benchmark.runtime.layout import place
from benchmark.runtime.tensors import on_device, predict
from benchmark.scoring.perturbation import build_perturbation_context
from benchmark.storage.hashing import file_digest
from benchmark.training.checkpoint import load_weights
from metrics.perturbation import PerturbationContext

PREDICTED_AT_ONCE = 256
"""Number of images that are copied to the device together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalModel:
    """A network with the weights behind maps from elsewhere.

    Attributes:
        name: Name of its architecture, or of the file that defines it.
        sha256: SHA-256 of the file of weights.
        network: In evaluation mode, on the device.
        device: The device.
        normalization: What an ONNX file expects of its input. Empty for other networks.
        answers: What an ONNX file answers. Empty for other networks.
    """

    name: str
    sha256: str
    network: nn.Module
    device: torch.device
    normalization: str = ""
    answers: str = ""

    def predict(self, data: ImageDataset) -> pd.DataFrame:
        """Returns a row per test image: predicted (label), and p0, p1 ..."""
        parts = np.array_split(data.test, range(PREDICTED_AT_ONCE, len(data.test), PREDICTED_AT_ONCE))
        chunks = [predict(self.network, on_device(data.images[rows], self.device)) for rows in parts]
        probabilities = torch.cat(chunks).numpy()
        frame = pd.DataFrame({f"p{index}": column for index, column in enumerate(probabilities.T)})
        frame.insert(0, "predicted", probabilities.argmax(axis=1))
        return frame

    def perturb(
        self,
        data: ImageDataset,
        maps: NDArray[np.float16],
        predicted: NDArray[np.intp],
        indices: NDArray[np.intp],
        steps: int,
    ) -> PerturbationContext:
        """Builds the perturbation context of some test images, without a method that draws maps of changed images.

        Args:
            data: The data.
            maps: Maps of all test images, (T, S, S).
            predicted: The explained class of each test image, (T,).
            indices: Which of the test images.
            steps: Number of steps of a curve.
        """
        names = list_test_names(data)
        return build_perturbation_context(
            self.network,
            on_device(data.images[data.test[indices]], self.device),
            maps[indices],
            torch.as_tensor(predicted[indices], device=self.device),
            ids=[names[index] for index in indices],
            mean=torch.as_tensor(data.mean_color(), device=self.device),
            steps=steps,
            layer="",
            method=None,
        )


LoadModel = Callable[[tuple[str, ...], int, torch.device], ExternalModel | None]
"""Loads a network for the names of the classes, the side of the images, and a device."""


def load_external_model(
    architecture: str | None, checkpoint: Path | None, classes: tuple[str, ...], device: torch.device
) -> ExternalModel | None:
    """Loads the network behind maps from elsewhere. None if neither architecture nor checkpoint is given.

    Args:
        architecture: Name of a registered architecture.
        checkpoint: A safetensors file of all its weights. The logits are in the order of the classes of the data.
        classes: Names of the classes.
        device: Where it runs.

    Raises:
        UserError: One of both is missing, or the file does not fit.
    """
    entry = find_network(architecture, checkpoint)
    if entry is None or checkpoint is None:
        return None
    network = entry.build(len(classes))
    load_weights(network, checkpoint, whole=True)
    device = nearest_device(device)
    return ExternalModel(
        name=entry.name, sha256=file_digest(checkpoint), network=place(network, device).eval(), device=device
    )


def find_network(architecture: str | None, checkpoint: Path | None) -> Architecture | None:
    """Finds the registered architecture of a network, and requires its weights. None if no network is named.

    Raises:
        UserError: One of both is missing, or the file is of another kind.
    """
    if architecture is None and checkpoint is None:
        return None
    if architecture is None or checkpoint is None:
        raise UserError("--architecture and --checkpoint belong together; give both, or neither")
    entry = select(Architecture, [architecture])[0]
    require_weights(checkpoint, architecture)
    return entry


def require_weights(checkpoint: Path, architecture: str) -> None:
    """Requires a regular safetensors file, before anything reads it.

    Raises:
        UserError: It is missing, or of another kind. The message names the command that converts it.
    """
    if not checkpoint.is_file():
        raise UserError(f"--checkpoint: {checkpoint} does not exist; give a .safetensors file")
    if checkpoint.suffix != ".safetensors":
        raise UserError(
            f"--checkpoint: {checkpoint} is no .safetensors file; convert it first: "
            f"python -m benchmark convert {checkpoint} --architecture {architecture} --output FILE.safetensors"
        )
