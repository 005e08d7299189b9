"""The architectures that Loupe compares, one entry per file.

An entry is a constant of type :class:`Architecture`. A file with such a constant in this directory is registered
automatically.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Weights that were trained outside of Loupe.

    Attributes:
        file: Name of a safetensors file in the directory of the entry.
        sha256: Its SHA-256, 64 hexadecimal digits.
        classes: Names of the classes, in the order of the logits.
        regime: Name of the self-reported training regime.
        trained_on: The training data, and which part of it.
        source: Where to download the file.
    """

    file: str
    sha256: str
    classes: tuple[str, ...]
    regime: str
    trained_on: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A network to train, or to evaluate with its checkpoint.

    Attributes:
        name: Unique name: lower case letters, digits and underscores.
        build: Builds the network with random weights for a number of classes. The module takes images
            (N, 3, H, W) in [0, 1] with sides of at least 96 px, normalizes them itself and returns
            logits (N, num_classes).
        pretrained: Builds the same network with published weights and a new classifier. None if there are no
            published weights that can be loaded.
        target_layer: Dotted name of the layer that Grad-CAM reads, in the built module: the last one with a
            spatial grid.
        input_size: Side in pixels that the network is designed for.
        learning_rate: Peak learning rate of AdamW when training from random weights.
        quick_epochs: Number of epochs in a quick run. The networks of a quick run take about the same time, not the
            same number of epochs.
        source: Publication of the network: author, year, arXiv number or DOI.
        predicts_masks: Whether the network also predicts a mask. Its method ``with_mask`` then takes images as above
            and returns logits of the classes (N, num_classes) and of the mask (N, H, W). Only regimes that need masks
            train such networks, and they train no others.
        in_default_grid: Whether a run without --architecture has it.
        checkpoint: External weights. Such an entry is evaluated as it is and never trained.
        authors: The submitters. Empty for the entries of this directory.
        license: License of the entry and its weights, as an SPDX identifier.
        superseded_by: Name of the entry that replaces it. Its rows remain.
        withdrawn: Reason of a withdrawal. Its rows remain, with this note.
    """

    name: str
    build: Callable[[int], nn.Module]
    pretrained: Callable[[int], nn.Module] | None
    target_layer: str
    input_size: int
    learning_rate: float
    quick_epochs: int
    source: str
    predicts_masks: bool = False
    in_default_grid: bool = True
    checkpoint: Checkpoint | None = None
    authors: str = ""
    license: str = ""
    superseded_by: str = ""
    withdrawn: str = ""
